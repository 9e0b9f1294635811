package storetest

import (
	"cmp"
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
)

// A NearStore is memory of the process that is bounded in bytes and in entries.
type NearStore interface {
	store.Store
	store.Local
	// Len returns the number of entries that have not expired.
	Len() int
	// Bytes returns what they take: [store.Entry.Size] and the store's own overhead.
	Bytes() int64
	// Close drops all entries. Afterwards Get misses, and Set drops its entry without an error. It may be called again.
	Close() error
}

// Near says how to test a store in the process' memory: like every store, and for what memory promises beyond that. All fields
// are required. The store must take the time from package time alone, because it is tested in bubbles of testing/synctest. There
// all its goroutines must end with Close.
type Near struct {
	// Open returns an empty store with these bounds. Zero stands for the store's default.
	Open func(maxBytes int64, maxEntries int) NearStore
	// DefaultMaxBytes and DefaultMaxEntries are the store's defaults.
	DefaultMaxBytes   int64
	DefaultMaxEntries int
}

// A nearTest is named after the property that a store in memory must have.
type nearTest struct {
	name   string
	bubble bool // it moves the clock
	run    func(t *testing.T, n Near)
}

var nearTests = []nearTest{
	{"OversizedIsRefusedAlone", false, oversizedIsRefusedAlone},
	{"NothingIsKeptForNoTime", false, nothingIsKeptForNoTime},
	{"PeekMissesAtTheInstantOfExpiry", true, peekMissesAtTheInstantOfExpiry},
	{"HitDoesNotProlong", true, hitDoesNotProlong},
	{"ExpiredIsReclaimedUnasked", true, expiredIsReclaimedUnasked},
	{"PeekAllocatesNothing", false, peekAllocatesNothing},
	{"AccountingIsHonest", false, accountingIsHonest},
	{"BoundsHoldAtAnyMoment", false, boundsHoldAtAnyMoment},
	{"CloseForgets", false, closeForgets},
}

// Run tests the stores that n.Open returns, each property in a subtest.
func (n Near) Run(t *testing.T) {
	for name, maxEntries := range map[string]int{"Default": 0, "Small": 10} {
		t.Run(name, func(t *testing.T) {
			Config{
				Open:    func(t *testing.T) store.Store { return n.open(t, 0, maxEntries) },
				Advance: time.Sleep,
				Around:  synctest.Test,
			}.Run(t)
		})
	}
	for _, test := range nearTests {
		t.Run(test.name, func(t *testing.T) {
			if !test.bubble {
				test.run(t, n)
				return
			}
			synctest.Test(t, func(t *testing.T) { test.run(t, n) })
		})
	}
	for _, b := range []nearBounds{
		{64 << 10, 0}, {3<<20 + 7, 10_000}, {0, 1}, {0, 63}, {0, 131}, {0, 1033}, {40 << 20, 1 << 20},
	} {
		t.Run(fmt.Sprintf("BoundsHold/%d bytes, %d entries", b.bytes, b.entries), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { boundsHold(t, n, b) })
		})
	}
}

// open returns a store that is closed when the test ends.
func (n Near) open(t *testing.T, maxBytes int64, maxEntries int) NearStore {
	s := n.Open(maxBytes, maxEntries)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// nearBounds are the bounds of a store under test.
type nearBounds struct {
	bytes   int64 // 0: the default
	entries int
}

// among returns the bounds, with the defaults filled in.
func (b nearBounds) among(n Near) nearBounds {
	return nearBounds{cmp.Or(b.bytes, n.DefaultMaxBytes), cmp.Or(b.entries, n.DefaultMaxEntries)}
}

// boundsHold plays a random workload and checks the bounds all the while.
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

// boundsHoldAtAnyMoment checks the bounds while others write.
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

// oversizedIsRefusedAlone: an entry that is too large costs no other entry its place. What was stored under its key goes, because it
// is older than what could not be stored.
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

// accountingIsHonest: what the store says it takes is nearly what the process takes. So MaxBytes bounds memory.
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

// put stores an entry with the body under the name's key.
func put(t *testing.T, s NearStore, name, body string, keep time.Duration) error {
	return s.Set(t.Context(), Key(name), Entry(Key(name), body), keep)
}

// nothingIsKeptForNoTime: setting an entry for no time drops the key, including what was there.
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

// peekMissesAtTheInstantOfExpiry, to the nanosecond, although nobody has dropped the entry yet.
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

// hitDoesNotProlong: some caches count an entry's time from its last use. Here that would keep old data for ever.
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

// expiredIsReclaimedUnasked: an entry that nobody requests any more gives its memory back soon after its end, and again after the
// store was empty in between.
func expiredIsReclaimedUnasked(t *testing.T, n Near) {
	s := n.open(t, 0, 0)
	for range 2 { // whatever sweeps must go on, or start again
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

// peekAllocatesNothing: Peek is all the work of a hit.
func peekAllocatesNothing(t *testing.T, n Near) {
	s := n.open(t, 0, 0)
	_ = put(t, s, "k", "body", time.Minute)
	hit, miss := Key("k"), Key("absent")
	if n := testing.AllocsPerRun(1000, func() { _, _ = s.Peek(hit); _, _ = s.Peek(miss) }); n != 0 {
		t.Errorf("Peek allocates %v times", n)
	}
}

// closeForgets everything, even while others write. Requests may still come.
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
