//go:build !linux

package proc

import "os/exec"

// diesWithParent does nothing: only Linux can do this.
func diesWithParent(*exec.Cmd) {}
