package memstore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

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

func TestStore(t *testing.T) {
	for _, o := range []memstore.Options{{}, {MaxEntries: 10}} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			storetest.Config{
				Open:    func(t *testing.T) store.Store { return open(t, o) },
				Advance: time.Sleep,
				Around:  synctest.Test,
			}.Run(t)
		})
	}
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
			_ = set(t, s, name, strings.Repeat("x", r.IntN(20_000)), time.Duration(1+r.IntN(int(time.Minute))))
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

func TestAccountingIsHonest(t *testing.T) {
	const entries = 20_000
	s := open(t, memstore.Options{MaxBytes: 1 << 30, MaxEntries: entries})
	before := heap()
	for i := range entries {
		key := storetest.Key(fmt.Sprint(i))
		_ = s.Set(t.Context(), key, &store.Entry{Key: key, Stored: time.Now(), Body: []byte("x")}, time.Hour)
	}
	if used, said := int64(heap()-before), s.Bytes(); used > said*115/100 {
		t.Errorf("%d entries take %d bytes each and count as %d", s.Len(), used/int64(s.Len()), said/int64(s.Len()))
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

func TestOversizedIsRefusedAlone(t *testing.T) {
	s := open(t, memstore.Options{MaxBytes: 100_000})
	_ = set(t, s, "other", "body", time.Minute)
	_ = set(t, s, "k", "old", time.Minute)
	if err := set(t, s, "k", strings.Repeat("x", 100_000), time.Minute); !errors.Is(err, store.ErrRefused) {
		t.Errorf("Set = %v; want ErrRefused", err)
	}
	if _, ok := s.Peek(storetest.Key("k")); ok {
		t.Error("the older entry is still there")
	}
	if _, ok := s.Peek(storetest.Key("other")); !ok {
		t.Error("another entry was evicted")
	}
	large := 100_000 - 2000
	if err := set(t, s, "k", strings.Repeat("x", large), time.Minute); err != nil {
		t.Errorf("Set of %d bytes: %v", large, err)
	}
}

func TestNothingIsKeptForNoTime(t *testing.T) {
	for keep := range time.Duration(3) { // to ttlcache 0, -1 and -2 mean a default, for ever and as before
		s := open(t, memstore.Options{})
		_ = set(t, s, "k", "old", time.Minute)
		if err := set(t, s, "k", "new", -keep); err != nil {
			t.Errorf("Set for %d: %v", -keep, err)
		}
		if _, ok := s.Peek(storetest.Key("k")); ok {
			t.Errorf("an entry kept for %d is there", -keep)
		}
	}
}

func TestPeekMissesAtTheInstantOfExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memstore.Options{})
		_ = set(t, s, "k", "body", 100*time.Millisecond)
		time.Sleep(100*time.Millisecond - 1)
		if _, ok := s.Peek(storetest.Key("k")); !ok {
			t.Error("the entry is gone before its time")
		}
		time.Sleep(time.Nanosecond)
		if _, ok := s.Peek(storetest.Key("k")); ok {
			t.Error("the entry is there at its expiry")
		}
	})
}

func TestHitDoesNotProlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memstore.Options{})
		_ = set(t, s, "k", "body", 3*time.Second)
		for range 2 {
			time.Sleep(time.Second)
			_, _ = s.Peek(storetest.Key("k"))
		}
		time.Sleep(time.Second)
		if _, ok := s.Peek(storetest.Key("k")); ok {
			t.Error("a hit prolonged the entry's life")
		}
	})
}

func TestExpiredIsReclaimedUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memstore.Options{})
		for range 2 { // the second time the timer must start again
			e := storetest.Entry(storetest.Key("k"), "body")
			kept := weak.Make(e)
			_ = s.Set(t.Context(), e.Key, e, 5*time.Second)
			e = nil
			time.Sleep(10 * time.Second)
			runtime.GC()
			if kept.Value() != nil {
				t.Fatal("an entry is still in memory long after its expiry")
			}
		}
	})
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

func TestPeekAllocatesNothing(t *testing.T) {
	s := open(t, memstore.Options{})
	_ = set(t, s, "k", "body", time.Minute)
	hit, miss := storetest.Key("k"), storetest.Key("absent")
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Peek(hit); _, _ = s.Peek(miss) }); n != 0 {
		t.Errorf("Peek allocates %v times", n)
	}
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

func TestCloseForgets(t *testing.T) {
	s := memstore.New(memstore.Options{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 200 {
				_ = set(t, s, fmt.Sprint(i, j), "body", time.Minute)
			}
		})
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	wg.Wait()
	if err := set(t, s, "k", "body", time.Minute); err != nil {
		t.Errorf("Set after Close: %v; want it dropped in silence", err)
	}
	if _, ok, err := s.Get(t.Context(), storetest.Key("k")); ok || err != nil {
		t.Errorf("Get after Close = %v, %v; want a miss", ok, err)
	}
	if s.Len() != 0 || s.Bytes() != 0 {
		t.Errorf("%d entries after Close", s.Len())
	}
}
