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

// One load per key within the fleet. A process that misses a key takes the key's lease in the far store, a token that expires by
// itself. A process that does not get it waits for the entry that the lease's holder stores. Within a process only the leader of
// a flight does this: all others wait for the flight.
//
// Two processes miss the same key:
//
//	A: Lease       Taken: A loads. Every 0.7 s it extends the lease, which lasts 2 s
//	B: Lease       Held, nothing to read: B tries again after 5 ms, then less and less often, every 75 ms at the latest
//	A: SetAndRelease stores the entry and releases the lease, in one step
//	B: Lease       reads the entry, and also takes the lease: B releases that at once, and serves the entry
//
// Lease reads the entry after it has tried to take the lease. The other way round B could read nothing, A store and release,
// and B take the lease: B would load again.
//
// The holder dies:
//
//	A: Lease       Taken
//	A:             killed
//	B: Lease       Held …
//	               2 s after A last extended it, the lease expires
//	B: Lease       Taken: B loads
//
// The holder's response cannot be stored:
//
//	A: Release     marks the key as uncacheable for a second
//	B: Lease       Uncacheable: B loads without a lease, and releases the waiters of its flight
//	C: Lease       the same, within that second: waiting would only line them up one behind the other
//
// The holder loses the lease, because it could not extend it in time:
//
//	A: Extend      false: another process has it. A goes on loading, and stops extending
//	B: Lease       Taken: B loads, too
//	A: SetAndRelease stores A's entry. The lease is not A's, so it stays B's
//	B: SetAndRelease replaces that entry with B's. Each has its own load behind it, and carries its own position in the purge log
//
// So a lost lease costs a second load and nothing else: a lease saves loads, it is not a lock. For the same reason nobody waits
// longer than makes sense. If the store fails, the call loads without a lease: once per process. It does the same if a lease's
// beat has stood still for longer than the lease can last, which means that its store does not expire it: see deadLeases.
const (
	leaseFor     = 2 * time.Second        // how long a lease lasts unless extended
	leaseTimeout = 500 * time.Millisecond // for extending or releasing a lease: no request waits for that

	firstPoll = 5 * time.Millisecond // waiters try less and less often, and out of step with each other
	lastPoll  = 50 * time.Millisecond

	refreshWait = leaseFor + leaseFor/2 // a refresh waits until the lease of a dead holder has expired
)

func newToken() (t store.Token) {
	_, _ = rand.Read(t[:]) // never returns an error
	return t
}

// waitForLease takes the key's lease, or waits for the entry that its holder stores. Old is the call's lookup from before.
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
		c.left = left // the wait is for the other process' load, not for a slow store
		if old.next = c.pause(pause, until); old.next != loadIt {
			if old.next == tooLong && !c.renews {
				old.next = loadIt
			}
			return old
		}
	}
}

// tryLease tries to take the lease, and reads. An entry that the old lookup has not read was made just now, by another process.
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

// pause waits for about d. It returns loadIt if the call should try again.
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

// A heldLease is a lease that a load of this process holds. It is extended while the load runs, for as long as any waiter would
// wait for it, and released when the load ends. A nil one is a load without a lease.
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

// hold starts to extend a lease that was taken just now.
func (rc *Cache) hold(route string, key keying.Key, token store.Token) *heldLease {
	h := &heldLease{rc: rc, route: route, key: key, token: token, until: time.Now().Add(maxWait)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer = time.AfterFunc(leaseFor/3, h.extend)
	return h
}

// extend makes the lease last longer. After an error it tries again: there is time for that before the lease expires. It stops
// extending a lease that was lost, which another process may hold.
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

// given records that the lease was released with the write.
func (h *heldLease) given() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.timer.Stop()
}

// giveBack releases the lease in the background; only the first call does. Uncacheable tells the waiters of other processes not to
// wait: what they wait for will not be in the store.
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

// release tries twice: if it failed, the waiters would have to wait until the lease expires.
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

// heartbeat is the last beat seen of a held lease, and since when.
type heartbeat struct {
	beat  uint64
	since time.Time
}

// stopped reports whether a lease was not extended for longer than it lasts: something is wrong with its store.
func (h *heartbeat) stopped(beat uint64, now time.Time) bool {
	if h.since.IsZero() || beat != h.beat {
		*h = heartbeat{beat, now}
	}
	return now.Sub(h.since) > leaseFor+leaseFor/4
}

// deadLeases remembers leases that were held, did not beat and did not expire: each costs one call its wait, not every call.
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
