//go:build !linux

package proc

import "os/exec"

// diesWithParent does nothing: the system has no such thing.
func diesWithParent(*exec.Cmd) {}
