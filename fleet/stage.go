package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// A stage is where one scenario plays: its processes, its files, its board. All of it goes when the scenario ends.
type stage struct {
	context.Context
	crew
	long    bool
	verbose bool
	dir     string
	board   *board
	past    history
	ends    []func()
	files   atomic.Int64
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
	s.crew.end()
	s.board.close()
	_ = os.RemoveAll(s.dir)
}

func (s *stage) atEnd(f func()) { s.ends = append(s.ends, f) }

func (s *stage) logf(format string, args ...any) {
	if s.verbose {
		log.Printf(format, args...)
	}
}

// or returns the size for a long run or a bounded one.
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

// pause waits, and returns an error if the run is over.
func (s *stage) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.Done():
		return s.Err()
	}
}

// until waits for the condition.
func (s *stage) until(what string, most time.Duration, met func() bool) error {
	for deadline := time.Now().Add(most); !met(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %v", what, most)
		}
		if err := s.pause(5 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
