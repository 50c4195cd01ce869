package harness

import "syscall"

// childAttributes makes the kernel end a child whose test process died.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
