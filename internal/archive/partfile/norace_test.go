//go:build !race

package partfile

const underRace = false
