package proc

import (
	"os/exec"
	"syscall"
)

// diesWithParent has the kernel kill the process when the thread that starts it ends.
func diesWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
