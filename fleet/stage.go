package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/larder-go/cache/internal/proc"
)

// A stage has what one scenario needs: its processes, its files, its board. All of it is removed when the scenario ends.
type stage struct {
	context.Context
	processes proc.Group
	long      bool
	verbose   bool
	dir       string
	board     *board
	past      history
	ends      []func()
	files     atomic.Int64
}

func newStage(ctx context.Context, long, verbose bool) (*stage, error) {
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return nil, err
	}
	b, err := openBoard(filepath.Join(dir, "board"))
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return &stage{Context: ctx, long: long, verbose: verbose, dir: dir, board: b}, nil
}

func (s *stage) close() {
	for _, end := range s.ends {
		end()
	}
	s.processes.End()
	s.board.close()
	_ = os.RemoveAll(s.dir)
}

func (s *stage) atEnd(f func()) { s.ends = append(s.ends, f) }

func (s *stage) logf(format string, args ...any) {
	if s.verbose {
		log.Printf(format, args...)
	}
}

// or returns long in a run at full size, and bounded otherwise.
func or[T any](s *stage, long, bounded T) T {
	if s.long {
		return long
	}
	return bounded
}

func (s *stage) subdir() (string, error) {
	dir := filepath.Join(s.dir, fmt.Sprint(s.files.Add(1)))
	return dir, os.Mkdir(dir, 0o700)
}

// pause waits for the duration. It returns an error, at once, if the run is over.
func (s *stage) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.Done():
		return s.Err()
	}
}

// until waits for the condition; see proc.Until.
func (s *stage) until(what string, most time.Duration, met func() bool) error {
	return proc.Until(s, what, most, met)
}

// A board is memory that all processes of a scenario share, through a mapped file. It has the handlers' data: the version of
// every resource. The harness raises a version, handlers read it. So the harness knows which response is stale, and a
// handler's run costs nothing but its delay.
type board struct {
	delay atomic.Int64  // how long handlers take, in nanoseconds
	runs  atomic.Uint64 // of all handlers together; numbers each run

	version [slots]atomic.Uint64
	ran     [slots]atomic.Uint64 // how often the handler ran for the resource
	by      [slots]atomic.Uint64 // the process that ran it last
}

func (b *board) sleep() { time.Sleep(time.Duration(b.delay.Load())) }

func (b *board) takes(d time.Duration) { b.delay.Store(int64(d)) }

// openBoard maps the file, and creates it if necessary.
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

// history records when a resource got each of its versions.
type history struct {
	mu    sync.Mutex
	since map[int][]time.Time // by slot; element i is when version i+1 was written
}

// write raises the resource's version and returns it.
func (s *stage) write(k key) uint64 {
	h, slot := &s.past, k.slot()
	h.mu.Lock()
	defer h.mu.Unlock()
	version := s.board.version[slot].Add(1)
	if h.since == nil {
		h.since = map[int][]time.Time{}
	}
	h.since[slot] = append(h.since[slot], time.Now()) // after the write: whoever read the old version did so before
	return version
}

// stale returns how long the version had been out of date at that time; 0 if it was current.
func (s *stage) stale(k key, version uint64, at time.Time) time.Duration {
	h := &s.past
	h.mu.Lock()
	defer h.mu.Unlock()
	if since := h.since[k.slot()]; version < uint64(len(since)) {
		return max(0, at.Sub(since[version]))
	}
	return 0
}
