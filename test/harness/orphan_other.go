//go:build !linux

package harness

import "syscall"

// childAttributes has nothing to add where the kernel can't tie a child's
// life to its parent's.
func childAttributes() *syscall.SysProcAttr { return nil }
