package query

import (
	"fmt"
	"unicode/utf8"
)

// didYouMean gives " (did you mean …?)" when one of the known names lies near.
func didYouMean(name string, known []string) string {
	length := utf8.RuneCountInString(name)
	if length > 64 {
		return "" // a sender's long text must not cost much
	}
	// Two letters may be swapped; but something must be left of the name.
	nearest, least := "", 1+min(max(2, length/2), length-1)
	for _, k := range known {
		if d := editDistance(name, k); d < least {
			nearest, least = k, d
		}
	}
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", nearest)
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
