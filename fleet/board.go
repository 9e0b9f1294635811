package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// A board is memory that all processes of a scenario share, through a file. The handlers' data are on it: the version of
// every resource, which the harness raises and the handlers read. So the harness knows which answer is stale, and a
// handler's run costs nothing but its delay.
type board struct {
	delay atomic.Int64  // how long handlers take
	runs  atomic.Uint64 // of all handlers: every run has its number

	version [slots]atomic.Uint64
	ran     [slots]atomic.Uint64 // runs for a resource
	by      [slots]atomic.Uint64 // the process that ran last for it
}

func (b *board) sleep() { time.Sleep(time.Duration(b.delay.Load())) }

func (b *board) takes(d time.Duration) { b.delay.Store(int64(d)) }

// openBoard maps the file, which it makes if need be.
func openBoard(name string) (*board, error) {
	const size = int(unsafe.Sizeof(board{}))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	memory, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", name, err)
	}
	return (*board)(unsafe.Pointer(&memory[0])), nil
}

func (b *board) close() {
	memory := unsafe.Slice((*byte)(unsafe.Pointer(b)), unsafe.Sizeof(*b))
	_ = syscall.Munmap(memory)
}
