package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// opened returns a Store with the time-outs of Open, that is closed when the test ends.
func opened(t *testing.T, url string) *redisstore.Store {
	s, err := redisstore.Open(url, redisstore.Options{Prefix: "larder"})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// wantOpen asks until the breaker is open and returns how often that took.
func wantOpen(t *testing.T, ask func() error) int {
	t.Helper()
	for n := range 100 {
		err := ask()
		if err == nil {
			t.Fatal("Redis answers")
		}
		if errors.Is(err, redisstore.ErrOpen) {
			return n
		}
	}
	t.Fatal("the breaker did not open")
	return 0
}

func TestRedisDownAndBack(t *testing.T) {
	server := storetest.NewServer(t)
	s := opened(t, server.URL())
	key := keep(t, s, "k")
	server.Kill()
	for _, op := range []struct {
		name string
		ask  func() error
	}{
		{"Set", func() error { return s.Set(t.Context(), key, stamped(s, "k"), time.Minute) }},
		{"Get", func() error { _, _, err := s.Get(t.Context(), key); return err }},
	} {
		if n := wantOpen(t, op.ask); n != 5 {
			t.Errorf("%s failed %d times before its breaker opened; want 5", op.name, n)
		}
	}
	start := time.Now()
	for range 100 {
		_, _, _ = s.Get(t.Context(), key)
	}
	if took := time.Since(start); took > 100*time.Millisecond {
		t.Errorf("100 reads under an open breaker took %v; want 1 ms each at most", took)
	}
	near := stamped(s, "k")
	if err := s.Append(t.Context(), store.Record{Labels: labels("one")}); err == nil || errors.Is(err, redisstore.ErrOpen) {
		t.Errorf("Append = %v; want an error from Redis itself", err)
	}
	if s.Ledger().State(near) != store.Gone {
		t.Error("a purge that failed does not hold for its own process")
	}
	server.Start()
	eventually(t, "Redis is asked again", func() bool { _, _, err := s.Get(t.Context(), key); return err == nil })
	eventually(t, "entries are kept again", func() bool { // and the purge that failed is told, which may come after the first of them
		return s.Set(t.Context(), key, stamped(s, "k"), time.Minute) == nil && state(t, s, key) == store.Live
	})
	purge(t, s, "one")
	wantState(t, s, key, store.Gone)
}

func TestCancelledReadsDoNotOpenTheBreaker(t *testing.T) {
	s := open(t, redistest.Start(t).Addr())
	key := keep(t, s, "k")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	for _, ctx := range []context.Context{cancelled, late} {
		for range 30 {
			if _, _, err := s.Get(ctx, key); !errors.Is(err, ctx.Err()) {
				t.Errorf("Get = %v; want %v", err, ctx.Err())
			}
		}
	}
	wantState(t, s, key, store.Live)
}

func TestErrorRepliesOpenTheBreaker(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.Addr())
	key := keep(t, s, "k")
	server.SetError("LOADING Redis is loading the dataset in memory")
	if n := wantOpen(t, func() error { _, _, err := s.Get(t.Context(), key); return err }); n != 5 {
		t.Errorf("%d errors before the breaker opened; want 5", n)
	}
	server.SetError("")
	if err := s.Set(t.Context(), key, stamped(s, "k"), time.Minute); !errors.Is(err, redisstore.ErrOpen) {
		t.Errorf("Set = %v; want no probe by a write while reads are given a rest", err)
	}
	eventually(t, "Redis is asked again", func() bool { _, _, err := s.Get(t.Context(), key); return err == nil })
	if err := s.Set(t.Context(), key, stamped(s, "k"), time.Minute); err != nil {
		t.Errorf("Set = %v; want writes as soon as reads succeed", err)
	}
}

// A purge that failed holds here at once, whether the log was ever read or not, and elsewhere when Redis is back.
func TestFailedPurgeIsMadeUpFor(t *testing.T) {
	for name, r := range map[string]store.Record{"all": {All: true}, "label": {Labels: labels("one")}} {
		for _, contact := range []bool{false, true} {
			t.Run(fmt.Sprint(name, contact), func(t *testing.T) {
				server := redistest.Start(t)
				other := open(t, server.Addr())
				key := keep(t, other, "k")
				s := open(t, server.Addr())
				if contact {
					wantState(t, s, key, store.Live)
				}
				server.SetError("LOADING")
				if err := s.Append(t.Context(), r); err == nil {
					t.Fatal("Append returned nil")
				}
				server.SetError("")
				wantState(t, s, key, store.Gone)
				wantState(t, other, key, store.Gone)
				keep(t, s, "k")
				wantState(t, s, key, store.Live)
				wantState(t, other, key, store.Live)
			})
		}
	}
}

func TestOwedPurgesAreBounded(t *testing.T) {
	server := redistest.Start(t)
	s, other := open(t, server.Addr()), open(t, server.Addr())
	key := keep(t, other, "k")
	server.SetError("LOADING")
	tags := make([]string, 1<<16+1)
	for i := range tags {
		tags[i] = fmt.Sprint(i)
	}
	_ = s.Append(t.Context(), store.Record{Labels: labels(tags...)})
	server.SetError("")
	eventually(t, "the others are told", func() bool {
		_, _, _ = s.Get(t.Context(), key)
		return state(t, other, key) == store.Gone
	})
	if n := dial(t, server.Addr()).XLen(t.Context(), logName).Val(); n != 2 {
		t.Errorf("%d records; want the first one and one that purges everything", n)
	}
}
