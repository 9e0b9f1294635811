package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/cache/store"
)

// boundsHold plays a random workload and looks at the bounds all the while.
func boundsHold(t *testing.T, n Near, b nearBounds) {
	s, r := n.open(t, b.bytes, b.entries), rand.New(rand.NewPCG(1, 2))
	b = b.among(n)
	for i := range 8000 {
		name := fmt.Sprint(r.IntN(4000))
		switch r.IntN(8) {
		case 0:
			_ = s.Delete(t.Context(), Key(name))
		case 1:
			time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
		default:
			_ = put(t, s, name, strings.Repeat("x", r.IntN(20_000)), time.Duration(1+r.Int64N(int64(time.Minute))))
		}
		if i%100 == 0 {
			wantWithin(t, s, b)
		}
	}
	time.Sleep(2 * time.Minute)
	if s.Len() != 0 || s.Bytes() != 0 {
		t.Errorf("%d entries of %d bytes after everything expired; want none", s.Len(), s.Bytes())
	}
}

// boundsHoldAtAnyMoment looks at the bounds while others write.
func boundsHoldAtAnyMoment(t *testing.T, n Near) {
	b := nearBounds{1 << 20, 100}
	s := n.open(t, b.bytes, b.entries)
	var writers, readers sync.WaitGroup
	for g := range 4 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(g)))
			for range 2000 {
				name := fmt.Sprint(r.IntN(1000))
				_ = put(t, s, name, strings.Repeat("x", r.IntN(40_000)), time.Duration(1+r.Int64N(int64(time.Minute))))
				_, _ = s.Peek(Key(name))
				if r.IntN(8) == 0 {
					_ = s.Delete(t.Context(), Key(name))
				}
			}
		})
	}
	done := make(chan struct{})
	readers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				wantWithin(t, s, b)
			}
		}
	})
	writers.Wait()
	close(done)
	readers.Wait()
	wantWithin(t, s, b)
	if s.Len() < b.entries/4 {
		t.Errorf("%d entries in a full store; want nearer to %d", s.Len(), b.entries)
	}
}

func wantWithin(t *testing.T, s NearStore, b nearBounds) {
	t.Helper()
	if bytes := s.Bytes(); bytes > b.bytes {
		t.Errorf("%d bytes; at most %d", bytes, b.bytes)
	}
	if entries := s.Len(); entries > b.entries {
		t.Errorf("%d entries; at most %d", entries, b.entries)
	}
}

func oversizedIsRefusedAlone(t *testing.T, n Near) {
	s := n.open(t, 100_000, 0)
	_ = put(t, s, "other", "body", time.Minute)
	_ = put(t, s, "k", "old", time.Minute)
	if err := put(t, s, "k", strings.Repeat("x", 100_000), time.Minute); !errors.Is(err, store.ErrRefused) {
		t.Errorf("Set = %v; want ErrRefused", err)
	}
	if _, ok := s.Peek(Key("k")); ok {
		t.Error("the older entry is still there")
	}
	if _, ok := s.Peek(Key("other")); !ok {
		t.Error("another entry was evicted")
	}
	large := 100_000 - 2000
	if err := put(t, s, "k", strings.Repeat("x", large), time.Minute); err != nil {
		t.Errorf("Set of %d bytes: %v", large, err)
	}
}

func accountingIsHonest(t *testing.T, n Near) {
	const entries = 20_000
	s := n.open(t, 1<<30, entries)
	before := heap()
	for i := range entries {
		key := Key(fmt.Sprint(i))
		_ = s.Set(t.Context(), key, &store.Entry{Key: key, Stored: time.Now(), Body: []byte("x")}, time.Hour)
	}
	if used, said := int64(heap()-before), s.Bytes(); used > said*115/100 || s.Len() == 0 {
		t.Errorf("%d entries take %d bytes and count as %d", s.Len(), used, said)
	}
	runtime.KeepAlive(s)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
