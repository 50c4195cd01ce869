package query

import (
	"fmt"

	"weir/internal/spelling"
)

// didYouMean gives " (did you mean …?)" when one of the known names lies near.
func didYouMean(name string, known []string) string {
	if nearest := spelling.Nearest(name, known); nearest != "" {
		return fmt.Sprintf(" (did you mean %s?)", nearest)
	}
	return ""
}
