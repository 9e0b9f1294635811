package memstore_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
	"github.com/larder-go/cache/store/storetest"
)

// open returns a store that is closed when the test ends.
func open(t *testing.T, o memstore.Options) *memstore.Store {
	s := memstore.New(o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func set(t *testing.T, s *memstore.Store, name, body string, keep time.Duration) error {
	return s.Set(t.Context(), storetest.Key(name), storetest.Entry(storetest.Key(name), body), keep)
}

func TestSmallStoreIsExactLRU(t *testing.T) {
	s := open(t, memstore.Options{MaxEntries: 3})
	for _, name := range []string{"a", "b", "c"} {
		_ = set(t, s, name, "body", time.Minute)
	}
	_, _ = s.Peek(storetest.Key("a"))
	_ = set(t, s, "d", "body", time.Minute)
	for name, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if _, ok := s.Peek(storetest.Key(name)); ok != want {
			t.Errorf("%s is kept: %v; want %v", name, ok, want)
		}
	}
}

func TestBoundsHold(t *testing.T) {
	for _, o := range []memstore.Options{
		{MaxBytes: 64 << 10}, {MaxBytes: 3<<20 + 7, MaxEntries: 10_000}, {MaxEntries: 1}, {MaxEntries: 63}, {MaxEntries: 131}, {MaxEntries: 1033},
		{MaxBytes: 40 << 20, MaxEntries: 1 << 20},
	} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testBounds(t, o) })
		})
	}
}

// testBounds plays a random workload and looks at the bounds all the while.
func testBounds(t *testing.T, o memstore.Options) {
	s, r := open(t, o), rand.New(rand.NewPCG(1, 2))
	maxBytes, maxEntries := o.MaxBytes, o.MaxEntries
	if maxBytes == 0 {
		maxBytes = memstore.DefaultMaxBytes
	}
	if maxEntries == 0 {
		maxEntries = memstore.DefaultMaxEntries
	}
	most := 0
	for i := range 8000 {
		name := fmt.Sprint(r.IntN(4000))
		switch r.IntN(8) {
		case 0:
			_ = s.Delete(t.Context(), storetest.Key(name))
		case 1:
			time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
		default:
			_ = set(t, s, name, strings.Repeat("x", r.IntN(20_000)), time.Duration(1+r.Int64N(int64(time.Minute))))
		}
		if i%500 == 0 {
			if n := s.Bytes(); n > maxBytes {
				t.Fatalf("%d bytes after %d steps; at most %d", n, i, maxBytes)
			}
		}
		most = max(most, s.Len())
	}
	if most > maxEntries {
		t.Errorf("%d entries; at most %d", most, maxEntries)
	}
	time.Sleep(2 * time.Minute)
	if n := s.Bytes(); n != 0 {
		t.Errorf("%d bytes after everything expired; want 0", n)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestSweepLetsOthersIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 100_000
		s := open(t, memstore.Options{MaxEntries: n, MaxBytes: 1 << 30})
		for _, key := range keysOf(n) {
			_ = s.Set(t.Context(), key, &store.Entry{Key: key}, time.Second/2)
		}
		time.Sleep(time.Second / 2)
		if most := s.LongestSweep(); most > 300 || s.Len() != 0 {
			t.Errorf("%d of %d entries were dropped at once, and %d are left", most, n, s.Len())
		}
	})
}

func TestSetAllocatesOnce(t *testing.T) {
	const n = 2000
	s, entries := open(t, memstore.Options{MaxEntries: n}), make([]*store.Entry, 2*n)
	for i, key := range keysOf(len(entries)) {
		entries[i] = &store.Entry{Key: key}
	}
	next := 0
	set := func() {
		_ = s.Set(t.Context(), entries[next].Key, entries[next], time.Hour)
		next++
	}
	for _, when := range []string{"while there is room", "once it is full"} {
		if n := testing.AllocsPerRun(n-1, set); n > 1 { // a node; a row of them now and then
			t.Errorf("Set of a new key allocates %v times %s", n, when)
		}
	}
}

// What the engine asks of its memory beyond the contract of stores.
var _ readthrough.Recaller = (*memstore.Store)(nil)
