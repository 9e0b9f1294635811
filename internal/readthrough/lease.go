package readthrough

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// One load per key within the fleet. A process that misses a key takes the key's lease in the far store, a token that ends by
// itself. Who does not get it waits for the entry that its holder keeps. Within a process only the leader of a flight does
// this: all others wait for the flight.
//
// Two processes miss the same key:
//
//	A: Lease       Taken: A loads. Every 0.7 s it extends the lease, which lasts 2 s
//	B: Lease       Held, nothing to read: B asks again after 5 ms, then more and more rarely, every 75 ms at the latest
//	A: SetAndRelease, in one step: the entry is kept and the lease given back
//	B: Lease       reads the entry, and has been given the lease besides: it gives that back at once, and serves the entry
//
// Lease reads the entry after it has tried to take the lease. The other way round B could read nothing, A keep and give back,
// and B take the lease: B would load again.
//
// The holder dies:
//
//	A: Lease       Taken
//	A:             killed
//	B: Lease       Held …
//	               2 s after A last extended it, the lease ends
//	B: Lease       Taken: B loads
//
// The holder's answer cannot be kept:
//
//	A: Release     with a second as its mark
//	B: Lease       Uncacheable: B loads without a lease, and lets those go who wait for its flight
//	C: Lease       the same, for a second: waiting would only line them up one behind the other
//
// The holder loses the lease, because it could not extend it in time:
//
//	A: Extend      false: it is another's. A goes on loading, and extends no more
//	B: Lease       Taken: B loads, too
//	A: SetAndRelease keeps its entry. The lease is not A's, so it stays B's
//	B: SetAndRelease keeps its entry in its place. Either was made by a load of its own, and carries its place in the purge log
//
// So a lost lease costs a second load and nothing else: a lease is a help, and no lock. For the same reason nobody waits for
// longer than makes sense. If the store fails, the call loads without a lease: once per process. The same goes for a lease whose
// beat has stood still for longer than the lease can last, which means that its store does not end it: see deadLeases.
const (
	leaseFor     = 2 * time.Second        // how long a lease lasts that is not extended
	leaseTimeout = 500 * time.Millisecond // for extending a lease or giving it back: no request waits for that

	firstPoll = 5 * time.Millisecond // whoever waits asks more and more rarely, and not in step with others
	lastPoll  = 50 * time.Millisecond

	refreshWait = leaseFor + leaseFor/2 // a refresh waits until the lease of a holder that has died has ended
)

func newToken() (t store.Token) {
	_, _ = rand.Read(t[:]) // never fails
	return t
}

// waitForLease takes the key's lease, or waits for the entry that its holder keeps. Old is what the call has seen before.
func (c *Call) waitForLease(key keying.Key, old lookup, judge Judge) lookup {
	rc, token, until := c.rc, newToken(), time.Now().Add(maxWait)
	if c.renews {
		until = time.Now().Add(refreshWait)
	}
	var beat heartbeat
	for pause := firstPoll; ; pause = min(pause*3/2, lastPoll) {
		left := c.left
		l, lease := c.tryLease(key, token, old, judge)
		switch {
		case c.good(l):
			if lease.State == store.Taken {
				go rc.release(c.route, key, token, false)
			}
			l.next = serveFound
			return l
		case lease.State == store.Taken:
			l.lease = rc.hold(c.route, key, token)
			return l
		case lease.State == store.Uncacheable:
			l.next = letOthersGo
			return l
		case lease.State == store.Unleased, rc.deadLeases.has(key, lease.Beat, time.Now()):
			old.err = l.err
			return old
		case beat.stopped(lease.Beat, time.Now()):
			rc.deadLeases.add(key, lease.Beat, time.Now())
			old.err = l.err
			return old
		}
		c.left = left // the wait is for the other process' load, and not for a slow store
		if old.next = c.pause(pause, until); old.next != loadIt {
			if old.next == tooLong && !c.renews {
				old.next = loadIt
			}
			return old
		}
	}
}

// tryLease tries to take the lease, and looks. What the old lookup has not read was made just now, by another process.
func (c *Call) tryLease(key keying.Key, token store.Token, old lookup, judge Judge) (lookup, store.Lease) {
	if !c.inTime() {
		return c.judged(key, nil, Leases, errBudget, Before, judge), store.Lease{}
	}
	var e *store.Entry
	var lease store.Lease
	err := c.do(func(ctx context.Context) (err error) {
		e, lease, err = c.rc.stores.lease(ctx, key, token, leaseFor)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		lease = store.Lease{}
	}
	made := Before
	if e != nil && !old.has(e) {
		made = c.madeAt(e.Stored)
	}
	return c.judged(key, e, Leases, err, made, judge), lease
}

// pause waits for about the time. It returns loadIt if the call is to ask again.
func (c *Call) pause(d time.Duration, until time.Time) leadStep {
	if !time.Now().Before(until) {
		return tooLong
	}
	timer := time.NewTimer(d/2 + mathrand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return loadIt
	case <-c.ctx.Done():
	}
	if errors.Is(c.ctx.Err(), context.Canceled) {
		return hungUp
	}
	return late
}

// A heldLease is a lease that a load of this process has. It is extended while the load runs, for as long as anybody would
// wait for it, and given back when the load ends. A nil one is a load without a lease.
type heldLease struct {
	rc    *Cache
	route string
	key   keying.Key
	token store.Token
	until time.Time

	mu    sync.Mutex
	timer *time.Timer
	ended bool
}

// hold begins to extend a lease that was taken just now.
func (rc *Cache) hold(route string, key keying.Key, token store.Token) *heldLease {
	h := &heldLease{rc: rc, route: route, key: key, token: token, until: time.Now().Add(maxWait)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer = time.AfterFunc(leaseFor/3, h.extend)
	return h
}

// extend makes the lease last longer. After an error it asks again: there is time for that before the lease ends. A lease that
// was lost is another's, and is extended no more.
func (h *heldLease) extend() {
	ctx, cancel := context.WithTimeout(context.Background(), leaseTimeout)
	defer cancel()
	var mine bool
	err := guarded(ctx, func(ctx context.Context) (err error) {
		mine, err = h.rc.stores.leaser.Extend(ctx, h.key, h.token, leaseFor)
		return err
	})
	h.rc.report(Report{h.route, Leases, err})
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended && (mine || err != nil) && time.Now().Before(h.until) {
		h.timer.Reset(leaseFor / 3)
	}
}

// given notes that the lease is back.
func (h *heldLease) given() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.timer.Stop()
}

// giveBack gives the lease back, without waiting for it; only the first call counts. Uncacheable tells those who wait that they
// need not: what they wait for will not be in the store.
func (h *heldLease) giveBack(uncacheable bool) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return
	}
	h.ended = true
	h.timer.Stop()
	go h.rc.release(h.route, h.key, h.token, uncacheable)
}

// release tries again once: those who wait would otherwise wait until the lease ends.
func (rc *Cache) release(route string, key keying.Key, token store.Token, uncacheable bool) {
	var mark time.Duration
	if uncacheable {
		mark = uncacheableFor
	}
	for try := range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), leaseTimeout)
		err := guarded(ctx, func(ctx context.Context) error { return rc.stores.leaser.Release(ctx, key, token, mark) })
		cancel()
		if err == nil {
			return
		}
		if try > 0 {
			rc.report(Report{route, Leases, err})
		}
	}
}

// heartbeat is what a held lease shows of its holder.
type heartbeat struct {
	beat  uint64
	since time.Time
}

// stopped reports whether a lease has not been extended for longer than it lasts: there is something wrong with its store.
func (h *heartbeat) stopped(beat uint64, now time.Time) bool {
	if h.since.IsZero() || beat != h.beat {
		*h = heartbeat{beat, now}
	}
	return now.Sub(h.since) > leaseFor+leaseFor/4
}

// deadLeases remember leases that were held, did not beat and did not end, so that one costs one call its wait, and not each.
type deadLeases struct {
	mu    sync.Mutex
	marks keyMarks
}

func (d *deadLeases) add(key keying.Key, beat uint64, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.marks.add(key, beat, now.Add(maxWait))
}

func (d *deadLeases) has(key keying.Key, beat uint64, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.marks.has(key, beat, now)
}
