//go:build linux || darwin

package backup

import "syscall"

// Free gives the room that is left on the disk of a folder, and whether that is
// known.
func Free(dir string) (int64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true //nolint:unconvert // its type is the system's
}
