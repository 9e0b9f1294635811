//go:build !linux

package main

import (
	"syscall"
	"time"
)

func diesWithParent() *syscall.SysProcAttr { return nil }

func cores() []core { return nil }

func (core) enter() func() { return func() {} }

func resetPeak() {}

func peakMemory() int64 { return 0 }

func cpuTime() time.Duration { return 0 }
