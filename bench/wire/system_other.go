//go:build !linux

package main

import (
	"time"
)

func cores() []core { return nil }

func (core) enter() {}

func resetPeak() {}

func peakMemory() int64 { return 0 }

func cpuTime() time.Duration { return 0 }
