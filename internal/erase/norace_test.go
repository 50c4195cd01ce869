//go:build !race

package erase

const underRace = false
