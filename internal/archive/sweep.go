package archive

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"weir/internal/journal"
	"weir/internal/sample"
)

// attemptForm finds the attempt in the name of a part or manifest.
var attemptForm = regexp.MustCompile(`^week=[^/]+/rev=\d+/(?:bucket=[^/]+/part|manifest)-(\d{8}T\d{6}Z)-[0-9a-f]{16}(?:-\d+)?\.(?:parquet|json)$`)

// Sweep removes the parts and manifests of attempts that began longer ago than
// a bound and that no record names, and gives how many it removed. An attempt
// that takes longer than the bound may lose parts to it: what it archives is then
// not verified, and is archived again. Other objects are left alone.
func (a *Archiver) Sweep(ctx context.Context, bound time.Duration) (removed int, err error) {
	all, err := a.objects.List(ctx, "")
	if err != nil {
		return 0, err
	}
	weeks, err := a.book.Weeks(ctx)
	if err != nil {
		return 0, err
	}
	named, err := a.named(ctx, weeks)
	if err != nil {
		return 0, err
	}
	before := a.now().Add(-bound)
	for _, o := range all {
		match := attemptForm.FindStringSubmatch(o.Name)
		if match == nil || named[o.Name] {
			continue
		}
		if began, err := time.Parse(attemptTime, match[1]); err != nil || !began.Before(before) {
			continue
		}
		if err := a.objects.Delete(ctx, o.Name); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// named gives the objects that records name.
func (a *Archiver) named(ctx context.Context, weeks []sample.Week) (map[string]bool, error) {
	named := map[string]bool{}
	for _, week := range weeks {
		volumes, err := a.book.Volumes(ctx, week)
		if err != nil {
			return nil, err
		}
		for _, v := range volumes {
			if v.Archive == nil {
				continue
			}
			named[v.Archive.Manifest] = true
			m, err := ReadManifest(ctx, a.objects, v.Archive.Manifest, v.Archive.SHA256)
			if err != nil {
				// Which parts are its own is not known: nothing is removed.
				return nil, fmt.Errorf("week %s, revision %d: %w", week, v.Revision, err)
			}
			for i := range m.Files {
				named[m.Files[i].Name] = true
			}
		}
	}
	return named, nil
}

// Summary is what is known of one revision's archive.
type Summary struct {
	Week     sample.Week
	Revision int
	State    journal.VolumeState
	Manifest string // "" where there is none
	Rows     uint64
	Bytes    uint64
}

// List gives the revisions of all weeks, in order.
func (a *Archiver) List(ctx context.Context) ([]Summary, error) {
	weeks, err := a.book.Weeks(ctx)
	if err != nil {
		return nil, err
	}
	var out []Summary
	for _, week := range weeks {
		volumes, err := a.book.Volumes(ctx, week)
		if err != nil {
			return nil, err
		}
		for _, v := range volumes {
			s := Summary{Week: week, Revision: v.Revision, State: v.State}
			if v.Archive != nil {
				s.Manifest, s.Rows, s.Bytes = v.Archive.Manifest, v.Archive.Rows, v.Archive.Bytes
			}
			out = append(out, s)
		}
	}
	return out, nil
}
