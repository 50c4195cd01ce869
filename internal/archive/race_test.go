//go:build race

package archive

// underRace: the race detector makes what is tried at each call or byte several times
// slower.
const underRace = true
