//go:build race

package partfile

// underRace: the race detector makes what is tried at each call or byte several times
// slower.
const underRace = true
