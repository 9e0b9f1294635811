package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/cache/store"
)

// leaserTests are for stores that are Leasers. Others skip them.
var leaserTests = []test{
	{"OneHolderPerLease", false, leased(oneHolder)},
	{"HolderFindsWhatWasKept", false, leased(holderFinds)},
	{"KeepReleases", false, leased(keepReleases)},
	{"OnlyTheHolderReleases", false, leased(onlyTheHolder)},
	{"UncacheableLeaseIsNobodys", false, leased(uncacheableIsNobodys)},
	{"LeaseEnds", true, leased(leaseEnds)},
	{"LeaseIsExtended", true, leased(leaseIsExtended)},
	{"UncacheableEnds", true, leased(uncacheableEnds)},
}

// leased is a test of a store's leases.
func leased(f func(t *testing.T, s store.Store, l leaser, c Config)) func(t *testing.T, c Config) {
	return func(t *testing.T, c Config) {
		s := c.Open(t)
		l, ok := s.(store.Leaser)
		if !ok {
			t.Skip("the store is no store.Leaser")
		}
		f(t, s, leaser{t, l}, c)
	}
}

var alice, bob = store.Token{1}, store.Token{15: 2}

// oneHolder: of many concurrent callers, one takes the lease. It may call again, if the reply was lost on the way.
func oneHolder(t *testing.T, _ store.Store, l leaser, _ Config) {
	var taken, held atomic.Int64
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			switch _, got, err := l.s.Lease(t.Context(), Key("k"), store.Token{byte(i)}, time.Minute); {
			case err != nil:
				t.Errorf("Lease: %v", err)
			case got.State == store.Taken:
				taken.Add(1)
			case got.State == store.Held:
				held.Add(1)
			}
		})
	}
	wg.Wait()
	if taken.Load() != 1 || held.Load() != 31 {
		t.Errorf("of 32 leases %d are taken and %d held; want 1 and 31", taken.Load(), held.Load())
	}
	l.want("other", alice, store.Taken)
	l.want("other", alice, store.Taken) // called again after the reply was lost
}

// holderFinds: Lease reads the key after taking the lease, so a caller that takes it, or waits for it, finds what was stored meanwhile.
func holderFinds(t *testing.T, s store.Store, l leaser, _ Config) {
	l.want("k", alice, store.Taken)
	e := Entry(Key("k"), "body")
	set(t, s, e, time.Minute)
	for _, token := range []store.Token{alice, bob} {
		got, _, err := l.s.Lease(t.Context(), e.Key, token, time.Minute)
		if err != nil || got == nil || !Equal(got, e) {
			t.Errorf("Lease = %+v, %v; want the entry that was kept", got, err)
		}
	}
	wantHit(t, s, e)
	l.release("k", alice, 0)
	wantHit(t, s, e)
}

// keepReleases: SetAndRelease ends the lease, but only its holder's. The entry is stored in either case.
func keepReleases(t *testing.T, s store.Store, l leaser, c Config) {
	e := Entry(Key("k"), "body")
	l.want("k", alice, store.Taken)
	for _, token := range []store.Token{bob, alice} {
		l.want("k", bob, store.Held)
		if err := l.s.SetAndRelease(t.Context(), e.Key, token, e, time.Minute); err != nil {
			t.Errorf("SetAndRelease: %v", err)
		}
		wantHit(t, s, e)
	}
	l.extend(alice, false)
	l.want("k", bob, store.Taken)
}

// onlyTheHolder can release or extend: a process that was slow must not end the lease of the one that took over.
func onlyTheHolder(t *testing.T, _ store.Store, l leaser, _ Config) {
	l.want("k", alice, store.Taken)
	l.release("k", bob, 0)
	l.release("k", bob, time.Minute)
	l.release("other", alice, time.Minute)
	l.extend(bob, false)
	l.want("k", bob, store.Held)
	l.release("k", alice, 0)
	l.extend(alice, false)
	l.want("k", bob, store.Taken)
	l.release("k", alice, 0)
	l.want("k", alice, store.Held)
	l.want("other", bob, store.Taken)
}

// uncacheableIsNobodys: while a key is marked as uncacheable nobody takes its lease, and nobody can remove the mark.
func uncacheableIsNobodys(t *testing.T, _ store.Store, l leaser, _ Config) {
	l.want("k", alice, store.Taken)
	l.release("k", alice, time.Minute)
	for _, token := range []store.Token{alice, bob} {
		l.want("k", token, store.Uncacheable)
		l.release("k", token, 0)
		l.extend(token, false)
	}
	l.want("other", alice, store.Taken)
}

// leaseEnds by itself: its holder may have died. Then another process takes it, and the first one can no longer affect it.
func leaseEnds(t *testing.T, _ store.Store, l leaser, c Config) {
	l.want("k", alice, store.Taken)
	c.Advance(59 * time.Second)
	l.want("k", bob, store.Held)
	c.Advance(2 * time.Second)
	l.extend(alice, false)
	l.want("k", bob, store.Taken)
	l.release("k", alice, 0)
	l.want("k", alice, store.Held)
}

// leaseIsExtended for as long as its holder works, and its beat changes each time: so the waiters see that the holder is alive.
func leaseIsExtended(t *testing.T, _ store.Store, l leaser, c Config) {
	l.want("k", alice, store.Taken)
	beats := map[uint64]bool{}
	for range 3 {
		c.Advance(40 * time.Second)
		l.extend(alice, true)
		for range 2 {
			_, got, err := l.s.Lease(t.Context(), Key("k"), bob, time.Minute)
			if got.State != store.Held || err != nil {
				t.Errorf("Lease = %+v, %v; want it held", got, err)
			}
			beats[got.Beat] = true
		}
	}
	if len(beats) != 3 {
		t.Errorf("a lease that was extended three times has had %d beats; want another each time", len(beats))
	}
	c.Advance(61 * time.Second)
	l.want("k", bob, store.Taken)
}

// uncacheableEnds: the mark expires, and the key is loaded by one process again.
func uncacheableEnds(t *testing.T, _ store.Store, l leaser, c Config) {
	l.want("k", alice, store.Taken)
	l.release("k", alice, 10*time.Second)
	c.Advance(9 * time.Second)
	l.want("k", bob, store.Uncacheable)
	c.Advance(2 * time.Second)
	l.want("k", bob, store.Taken)
}

// leaser is a store whose leases are taken for a minute.
type leaser struct {
	t *testing.T
	s store.Leaser
}

func (l leaser) want(name string, token store.Token, want store.LeaseState) {
	l.t.Helper()
	if _, got, err := l.s.Lease(l.t.Context(), Key(name), token, time.Minute); got.State != want || err != nil {
		l.t.Errorf("Lease = %v, %v; want %v", got, err, want)
	}
}

func (l leaser) extend(token store.Token, want bool) {
	l.t.Helper()
	if got, err := l.s.Extend(l.t.Context(), Key("k"), token, time.Minute); got != want || err != nil {
		l.t.Errorf("Extend = %v, %v; want %v", got, err, want)
	}
}

func (l leaser) release(name string, token store.Token, uncacheable time.Duration) {
	l.t.Helper()
	if err := l.s.Release(l.t.Context(), Key(name), token, uncacheable); err != nil {
		l.t.Errorf("Release: %v", err)
	}
}
