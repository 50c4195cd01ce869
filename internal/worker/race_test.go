//go:build race

package worker

// underRace: the race detector makes the simulations several times slower.
const underRace = true
