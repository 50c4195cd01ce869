package sample

import "testing"

// TestCompareIsByMetricThenTags compares each of a sorted list with each other.
func TestCompareIsByMetricThenTags(t *testing.T) {
	tag := func(pairs ...string) (tags []Tag) {
		for i := 0; i < len(pairs); i += 2 {
			tags = append(tags, Tag{Name: pairs[i], Value: pairs[i+1]})
		}
		return tags
	}
	sorted := []Series{
		{Metric: "a"}, {Metric: "a", Tags: tag("n", "10")}, {Metric: "a", Tags: tag("n", "10", "o", "1")},
		{Metric: "a", Tags: tag("n", "2")}, {Metric: "a", Tags: tag("nn", "0")},
		{Metric: "aa"}, {Metric: "b"}, {Metric: "b", Tags: tag("a", "1")},
	}
	for i, x := range sorted {
		for j, y := range sorted {
			got := x.Compare(y)
			if got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("%s beside %s: %d", x, y, got)
			}
		}
	}
}
