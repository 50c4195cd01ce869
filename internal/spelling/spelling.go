// Package spelling owns the guess at which known name a person meant by one
// that is not known, for errors that help.
//
// It refuses to know what the names are of, and imports nothing of Weir.
package spelling

import "unicode/utf8"

// longest is the longest name that is looked at, in characters: a sender's
// long text must not cost much.
const longest = 64

// Nearest gives the known name that lies nearest to name, the first of
// several, and "" where none is near.
func Nearest(name string, known []string) string {
	length := utf8.RuneCountInString(name)
	if length > longest {
		return ""
	}
	// Two letters may be swapped; but something must be left of the name.
	nearest, least := "", 1+min(max(2, length/2), length-1)
	for _, k := range known {
		if d := editDistance(name, k); d < least {
			nearest, least = k, d
		}
	}
	return nearest
}

// editDistance counts the characters to insert, delete or replace between two
// texts (Levenshtein 1966).
func editDistance(a, b string) int {
	to := []rune(b)
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i, r := range []rune(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j, s := range to {
			replace := diagonal
			if r != s {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(to)]
}
