//go:build unix

package redisstore_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/store"
)

func TestHungRedisCostsOneBudgetEach(t *testing.T) {
	server := redistest.NewProcess(t)
	s := opened(t, server.URL())
	key := keep(t, s, "k")
	if err := server.OS().Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	n := wantOpen(t, func() error {
		start := time.Now()
		_, _, err := s.Get(t.Context(), key)
		if took := time.Since(start); took > 50*time.Millisecond+200*time.Millisecond { // what a busy machine adds
			t.Errorf("a read took %v; want 50 ms", took)
		}
		return err
	})
	if n > 6 {
		t.Errorf("%d reads waited; want 5", n)
	}
	if err := server.OS().Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Redis is asked again", func() bool { _, _, err := s.Get(t.Context(), key); return err == nil })
	wantState(t, s, key, store.Live)
}
