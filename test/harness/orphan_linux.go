package harness

import "syscall"

// ChildAttributes makes the kernel end a child whose test process died.
func ChildAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
