package lineprotocol

import (
	"fmt"
	"strings"
	"testing"
)

// TestFieldsAreSharedByHeadsThatMetTheSame, and a field more of one head is not
// seen by another.
func TestFieldsAreSharedByHeadsThatMetTheSame(t *testing.T) {
	d := New(bySeries, Options{})
	c := new(collector)
	d.Decode([]byte("m,h=1 a=1,b=2 7\nm,h=2 a=1,b=2 7\nm,h=3 b=1 7\n"), Nanosecond, now, c)
	heads := d.cache.heads
	one, two := heads["m,h=1 "], heads["m,h=2 "]
	if one.fields != two.fields || one.fields == heads["m,h=3 "].fields {
		t.Fatalf("fields %p, %p, %p", one.fields, two.fields, heads["m,h=3 "].fields)
	}
	var wide strings.Builder
	for i := range sharedFields + 10 {
		fmt.Fprintf(&wide, "m,h=1 f%d=1 7\n", i)
	}
	d.Decode([]byte(wide.String()), Nanosecond, now, c)
	if len(two.fields.names) != 2 || one.fields.shared || len(one.fields.names) != sharedFields+12 || len(c.rejected) > 0 {
		t.Fatalf("%q and %d names, rejected %q", two.fields.names, len(one.fields.names), c.rejected)
	}
}
