//go:build !linux

package harness

import "syscall"

// ChildAttributes has nothing to add where the kernel can't tie a child's
// life to its parent's.
func ChildAttributes() *syscall.SysProcAttr { return nil }
