package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cores returns the cores that this process may use.
func cores() []core {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil
	}
	var all []core
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			all = append(all, core(i))
		}
	}
	return all
}

// enter moves the calling thread to the core, and with it the processes that it will start.
func (c core) enter() {
	if c == anyCore {
		return
	}
	var set unix.CPUSet
	set.Set(int(c))
	_ = unix.SchedSetaffinity(0, &set)
}

// resetPeak resets the peak of this process' memory to what it uses now.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// peakMemory returns the most memory that this process has used since resetPeak, in bytes.
func peakMemory() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		var kib int64
		if _, err := fmt.Sscanf(lines.Text(), "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}

// cpuTime returns the CPU time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
