//go:build !unix

package output

import "os"

// windowWidth can't learn the width here, only whether there is a terminal.
func windowWidth(file *os.File) (width int, tty bool) {
	info, err := file.Stat()
	return 0, err == nil && info.Mode()&os.ModeCharDevice != 0
}
