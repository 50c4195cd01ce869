//go:build race

package journal

// underRace: the race detector makes the simulations several times slower.
const underRace = true
