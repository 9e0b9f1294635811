package redisstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
)

// A rest is told once, with its cause, and so is its end; whoever has stopped listening is told nothing.
func TestRestsAreTold(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.Addr())
	key := keep(t, s, "k")
	type told struct {
		what store.Operation
		rest bool
	}
	news := make(chan told, 10)
	stop := s.OnRest(func(what store.Operation, err error) {
		if err != nil && !errors.Is(err, redisstore.ErrOpen) {
			t.Errorf("%s: %v; want an error that wraps ErrOpen", what, err)
		}
		news <- told{what, err != nil}
	})
	deaf := s.OnRest(func(store.Operation, error) { t.Error("told after stop") })
	deaf()
	want := func(want told) {
		t.Helper()
		select {
		case got := <-news:
			if got != want {
				t.Fatalf("told %v, want %v", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("told nothing, want %v", want)
		}
	}
	get := func() error { _, _, err := s.Get(t.Context(), key); return err }
	server.SetError("LOADING Redis is loading the dataset in memory")
	wantOpen(t, get)
	want(told{store.Reads, true})
	server.SetError("")
	eventually(t, "Redis is asked again", func() bool { return get() == nil })
	want(told{store.Reads, false})
	server.SetError("READONLY You can't write against a read only replica.")
	wantOpen(t, func() error { return s.Set(t.Context(), key, stamped(s, "k"), time.Minute) })
	want(told{store.Writes, true})
	stop()
	if len(news) > 0 {
		t.Errorf("told more: %v", <-news)
	}
}
