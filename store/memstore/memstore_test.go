package memstore_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
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

func TestNear(t *testing.T) {
	storetest.Near{
		Open: func(maxBytes int64, maxEntries int) storetest.NearStore {
			return memstore.New(memstore.Options{MaxBytes: maxBytes, MaxEntries: maxEntries})
		},
		DefaultMaxBytes:   memstore.DefaultMaxBytes,
		DefaultMaxEntries: memstore.DefaultMaxEntries,
	}.Run(t)
}

// hashOf is what stands for the hash of a key's text; many have the same.
func hashOf(key keying.Key) uint64 { return uint64(binary.LittleEndian.Uint32(key[:]) % 97 << 25) }

// recalls fails the test unless the text leads to an entry of that body, or to none if it is "".
func recalls(t *testing.T, s *memstore.Store, hash uint64, text, want string) {
	t.Helper()
	got := ""
	if e, ok := s.Recall(hash, []byte(text), time.Now()); ok {
		got = string(e.Body)
	}
	if got != want {
		t.Errorf("%q leads to %q; want %q", text, got, want)
	}
}

func TestATextLeadsToWhatIsUnderItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, o := range []memstore.Options{{}, {MaxEntries: 10}} {
			s := open(t, o)
			key := storetest.Key("k")
			s.Remember(key, 1, []byte("text")) // of nothing
			recalls(t, s, 1, "text", "")
			_ = set(t, s, "k", "old", time.Minute)
			recalls(t, s, 1, "text", "")
			text := []byte("text")
			s.Remember(key, 1, text)
			text[0] = 'n' // it was copied
			recalls(t, s, 1, "text", "old")
			recalls(t, s, 1, "next", "")
			recalls(t, s, 2, "text", "")
			_ = set(t, s, "k", "new", time.Second)
			recalls(t, s, 1, "text", "new")
			time.Sleep(time.Second)
			recalls(t, s, 1, "text", "") // at the instant of its expiry
			_ = set(t, s, "k", "newer", time.Minute)
			s.Remember(key, 1, []byte("text"))
			recalls(t, s, 1, "text", "newer")
			_ = s.Delete(t.Context(), key)
			recalls(t, s, 1, "text", "")
			if err := s.Check(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTextsCountAsBytes(t *testing.T) {
	s := open(t, memstore.Options{})
	_ = set(t, s, "k", "body", time.Minute)
	before := s.Bytes()
	s.Remember(storetest.Key("k"), 1, []byte(strings.Repeat("x", 1000)))
	if n := s.Bytes() - before; n != 1000 {
		t.Errorf("a text of 1,000 bytes counts as %d", n)
	}
	s.Remember(storetest.Key("k"), 2, []byte("another"))
	_ = set(t, s, "other", "body", time.Minute)
	s.Remember(storetest.Key("other"), 3, []byte(strings.Repeat("x", 2000)))
	if n := s.Bytes() - 2*before; n != 1000 {
		t.Errorf("with a second text of its own and one that is too long, %d more bytes; want 1,000", n)
	}
}

// Where there is no room for a text others go; the bounds hold.
func TestTextsAreWithinTheBounds(t *testing.T) {
	s := open(t, memstore.Options{MaxBytes: 64 << 10})
	for i := range 1000 {
		name := fmt.Sprint(i)
		_ = set(t, s, name, "body", time.Minute)
		s.Remember(storetest.Key(name), uint64(i), []byte(strings.Repeat(name, 200)))
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
	}
	if s.Len() == 0 {
		t.Error("nothing is left")
	}
}

func TestRecallAllocatesNothing(t *testing.T) {
	s := open(t, memstore.Options{})
	_ = set(t, s, "k", "body", time.Minute)
	s.Remember(storetest.Key("k"), 1, []byte("text"))
	text, now := []byte("text"), time.Now()
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Recall(1, text, now) }); n != 0 {
		t.Errorf("Recall allocates %v times", n)
	}
}

// BenchmarkOverhead reports what an answer takes beyond its bytes: in all, and of that in the store.
func BenchmarkOverhead(b *testing.B) {
	const n = 100_000
	keys := keysOf(n)
	entries := make([]*store.Entry, n)
	for range b.N {
		clear(entries)
		before := heap()
		for i, key := range keys {
			entries[i] = answer(key)
		}
		made := heap()
		s := memstore.New(memstore.Options{MaxEntries: n, MaxBytes: 4 << 30})
		for i, key := range keys {
			_ = s.Set(b.Context(), key, entries[i], time.Hour)
		}
		e, after := entries[0], heap()
		bytes := len(e.Body) + len(e.Key) + len(e.Labels)*len(e.Labels[0])
		for _, f := range e.Header.Fields() {
			bytes += len(f.Name) + len(f.Values[0])
		}
		b.ReportMetric(float64(after-before)/n-float64(bytes), "B/beyond")
		b.ReportMetric(float64(after-made)/n, "B/in-store")
		b.ReportMetric(float64(s.Bytes())/n-float64(bytes), "B/counted-beyond")
		_ = s.Close()
		runtime.KeepAlive(entries)
	}
}

// TestIndexAndOrderAgree plays readers, writers, deletes, expiry and eviction on few keys, and looks that nobody gets a
// foreign entry, an expired one, or one that is older than the last that was set before.
func TestIndexAndOrderAgree(t *testing.T) {
	for _, o := range []memstore.Options{
		{}, {MaxEntries: 20}, {MaxEntries: 300}, {MaxBytes: 100_000}, {MaxBytes: 3 << 20}, {MaxBytes: 32 << 20, MaxEntries: 2000},
	} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			s, keys := open(t, o), keysOf(600)
			var wg sync.WaitGroup
			for g := range 6 {
				wg.Go(func() { stress(t, s, keys, rand.New(rand.NewPCG(uint64(g), 1)), g) })
			}
			wg.Wait()
			if err := s.Check(); err != nil {
				t.Error(err)
			}
			for s.Len() > 0 && !t.Failed() {
				_ = s.Delete(t.Context(), keys...)
			}
			if err := s.Check(); err != nil || s.Bytes() != 0 {
				t.Errorf("%d bytes are left, %v", s.Bytes(), err)
			}
		})
	}
}

// stress works on all keys, but sets only those that are its own.
func stress(t *testing.T, s *memstore.Store, keys []keying.Key, r *rand.Rand, own int) {
	last := map[keying.Key]int{}
	for i := 1; i < 6000; i++ {
		key := keys[r.IntN(len(keys))]
		e, ok := s.Peek(key)
		switch {
		case ok && e.Key != key:
			t.Error("a foreign entry")
		case ok && !time.Now().Before(e.Stored.Add(e.Fresh+time.Second)):
			t.Error("an expired entry")
		}
		s.Remember(key, hashOf(key), key[:])
		if e, ok := s.Recall(hashOf(key), key[:], time.Now()); ok && e.Key != key {
			t.Error("a foreign entry, by its text")
		}
		at := r.IntN(len(keys)/6)*6 + own
		key = keys[at]
		if e, ok := s.Recall(hashOf(key), key[:], time.Now()); ok && e.Status != last[key] {
			t.Errorf("entry %d by a text; want %d or none", e.Status, last[key])
		}
		if e, ok := s.Peek(key); ok && e.Status != last[key] {
			t.Errorf("entry %d of a key; want %d or none", e.Status, last[key])
		}
		keep := time.Duration(1+r.IntN(20)) * time.Millisecond
		switch r.IntN(8) {
		case 0:
			_ = s.Delete(t.Context(), key)
			last[key] = -1
			continue
		case 1:
			_ = s.Delete(t.Context(), key)
			last[key] = -1
			_ = s.Len()
			continue
		case 2, 3, 4:
			keep = time.Minute
		}
		last[key] = i
		_ = s.Set(t.Context(), key, &store.Entry{
			Key: key, Status: i, Stored: time.Now(), Fresh: keep, Body: make([]byte, r.IntN(20_000)),
		}, keep)
	}
}
