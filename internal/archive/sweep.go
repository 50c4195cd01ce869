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

// Swept is what a sweep removed.
type Swept struct {
	Files int
	Bytes int64
}

// endGrace is how long the archive of a volume that has ended stays for readers
// that began before.
const endGrace = time.Hour

// Sweep removes the parts and manifests that no record names, of attempts that began
// longer ago than a bound: those that were cut short, and those of volumes that have
// ended. An attempt that takes longer than the bound may lose parts to it: what it
// archives is then not verified, and is archived again. Other objects are left alone.
func (a *Archiver) Sweep(ctx context.Context, bound time.Duration) (swept Swept, err error) {
	all, err := a.objects.List(ctx, "")
	if err != nil {
		return swept, err
	}
	weeks, err := a.book.Weeks(ctx)
	if err != nil {
		return swept, err
	}
	named, err := a.named(ctx, weeks, endGrace)
	if err != nil {
		return swept, err
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
			return swept, err
		}
		swept.Files++
		swept.Bytes += o.Size
	}
	return swept, nil
}

// named gives the objects that records name, those of volumes that ended less than
// grace ago too.
func (a *Archiver) named(ctx context.Context, weeks []sample.Week, grace time.Duration) (map[string]bool, error) {
	named := map[string]bool{}
	for _, week := range weeks {
		volumes, err := a.book.Volumes(ctx, week)
		if err != nil {
			return nil, err
		}
		for _, v := range volumes {
			if v.Archive == nil || v.Ended != nil && a.now().Sub(v.Ended.At) >= grace {
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
	Ended    time.Time // if it has
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
			if v.Ended != nil {
				s.Ended = v.Ended.At
			}
			if v.Archive != nil && v.State != journal.VolumeEnded {
				s.Manifest, s.Rows, s.Bytes = v.Archive.Manifest, v.Archive.Rows, v.Archive.Bytes
			}
			out = append(out, s)
		}
	}
	return out, nil
}
