package storetest

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
	"weak"
)

// put keeps an entry of the body under the name's key.
func put(t *testing.T, s NearStore, name, body string, keep time.Duration) error {
	return s.Set(t.Context(), Key(name), Entry(Key(name), body), keep)
}

func nothingIsKeptForNoTime(t *testing.T, n Near) {
	for keep := range time.Duration(3) {
		s := n.open(t, 0, 0)
		_ = put(t, s, "k", "old", time.Minute)
		if err := put(t, s, "k", "new", -keep); err != nil {
			t.Errorf("Set for %d: %v", -keep, err)
		}
		if _, ok := s.Peek(Key("k")); ok {
			t.Errorf("an entry kept for %d is there", -keep)
		}
	}
}

func peekMissesAtTheInstantOfExpiry(t *testing.T, n Near) {
	s := n.open(t, 0, 0)
	_ = put(t, s, "k", "body", 100*time.Millisecond)
	time.Sleep(100*time.Millisecond - 1)
	if _, ok := s.Peek(Key("k")); !ok {
		t.Error("the entry is gone before its time")
	}
	time.Sleep(time.Nanosecond)
	if _, ok := s.Peek(Key("k")); ok {
		t.Error("the entry is there at its expiry")
	}
	time.Sleep(time.Nanosecond)
	if s.Len() != 0 || s.Bytes() != 0 {
		t.Errorf("%d entries of %d bytes count after their expiry", s.Len(), s.Bytes())
	}
}

func hitDoesNotProlong(t *testing.T, n Near) {
	s := n.open(t, 0, 0)
	_ = put(t, s, "k", "body", 3*time.Second)
	for range 2 {
		time.Sleep(time.Second)
		if _, ok := s.Peek(Key("k")); !ok {
			t.Error("the entry is gone before its time")
		}
	}
	time.Sleep(time.Second)
	if _, ok := s.Peek(Key("k")); ok {
		t.Error("a hit prolonged the entry's life")
	}
}

func expiredIsReclaimedUnasked(t *testing.T, n Near) {
	s := n.open(t, 0, 0)
	for range 2 { // what sweeps must go on, or start again
		e := Entry(Key("k"), "body")
		kept := weak.Make(e)
		_ = s.Set(t.Context(), e.Key, e, 5*time.Second)
		e = nil
		time.Sleep(10 * time.Second)
		runtime.GC()
		if kept.Value() != nil {
			t.Fatal("an entry is still in memory long after its expiry")
		}
	}
}

func peekAllocatesNothing(t *testing.T, n Near) {
	s := n.open(t, 0, 0)
	_ = put(t, s, "k", "body", time.Minute)
	hit, miss := Key("k"), Key("absent")
	if n := testing.AllocsPerRun(1000, func() { _, _ = s.Peek(hit); _, _ = s.Peek(miss) }); n != 0 {
		t.Errorf("Peek allocates %v times", n)
	}
}

func closeForgets(t *testing.T, n Near) {
	s := n.Open(0, 0)
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for j := range 200 {
				_ = put(t, s, fmt.Sprint(i, j), "body", time.Minute)
			}
		})
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	writers.Wait()
	if err := put(t, s, "k", "body", time.Minute); err != nil {
		t.Errorf("Set after Close: %v; want it dropped in silence", err)
	}
	if _, ok, err := s.Get(t.Context(), Key("k")); ok || err != nil {
		t.Errorf("Get after Close = %v, %v; want a miss", ok, err)
	}
	if s.Len() != 0 || s.Bytes() != 0 {
		t.Errorf("%d entries of %d bytes after Close", s.Len(), s.Bytes())
	}
}
