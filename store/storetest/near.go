package storetest

import (
	"cmp"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/store"
)

// A NearStore is bounded process memory.
type NearStore interface {
	store.Store
	store.Local
	Len() int     // entries that have not expired
	Bytes() int64 // what they take, overhead included
	Close() error // may be called again; afterwards Get misses and Set drops its entry
}

// Near says how a store in the process' memory is tested: by the suite of every store, and for what memory promises beside
// that. All is required. What tells the time must be package time alone, for it runs in bubbles of testing/synctest.
type Near struct {
	// Open returns an empty store with the bounds, of which zero stands for the default.
	Open func(maxBytes int64, maxEntries int) NearStore
	// DefaultMaxBytes and DefaultMaxEntries are the bounds of a store that Open was given none for.
	DefaultMaxBytes   int64
	DefaultMaxEntries int
}

// A nearTest is named by the property that it holds a store in memory to.
type nearTest struct {
	name   string
	bubble bool
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

// Run tests the stores that n.Open returns.
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

type nearBounds struct {
	bytes   int64 // 0: the default
	entries int
}

// among returns the bounds with the defaults filled in.
func (b nearBounds) among(n Near) nearBounds {
	return nearBounds{cmp.Or(b.bytes, n.DefaultMaxBytes), cmp.Or(b.entries, n.DefaultMaxEntries)}
}
