package proc

import (
	"os/exec"
	"syscall"
)

// diesWithParent makes the kernel kill the process when the thread that started it ends.
func diesWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
