//go:build unix

package output

import (
	"os"

	"golang.org/x/sys/unix"
)

// windowWidth asks the terminal for its width; tty is false where there is
// none.
func windowWidth(file *os.File) (width int, tty bool) {
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, false
	}
	return int(size.Col), true
}
