// Package e2e walks every line of Weir's contract on the real binary, over
// its real port.
//
// It owns no code but tests. Most know nothing of Weir but its contract; those
// that make what no client can (a message that can't be handled, an item that
// nothing names) open the data folder with the drivers while no process runs.
package e2e
