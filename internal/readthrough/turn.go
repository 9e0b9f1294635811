package readthrough

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Waiting for another process' load. Whoever waits asks more and more rarely, and not in step with others.
const (
	firstPoll = 5 * time.Millisecond
	lastPoll  = 50 * time.Millisecond

	refreshWait = leaseFor + leaseFor/2 // a refresh waits until the lease of a holder that has died has ended
)

// A turn is how a call that leads goes on.
type turn uint8

const (
	loads   turn = iota // it loads, for all here who wait
	found               // there is an entry to serve
	refused             // it loads, and others had better do so too
	hungUp              // its client has gone
	late                // its deadline has passed: it loads for itself
	tooLong             // it has waited long enough
)

// good reports whether an entry spares the load.
func (c *Call) good(s sight) bool {
	if c.renews {
		return s.use == Fresh && !s.e.Nearing(time.Now())
	}
	return s.use >= WhileRefreshed
}

// await takes the key's lease, or waits for the entry that its holder keeps; the lease of a holder that has died ends.
// Without an answer from the store, and after a long wait, the call loads without a lease, as if there were none: once per
// process.
func (c *Call) await(key keying.Key, old sight, judge Judge) sight {
	t, token, until := c.t, newToken(), time.Now().Add(maxWait)
	if c.renews {
		until = time.Now().Add(refreshWait)
	}
	var pulse pulse
	for pause := firstPoll; ; pause = min(pause*3/2, lastPoll) {
		left := c.left
		s, lease := c.lease(key, token, old, judge)
		switch {
		case c.good(s):
			if lease.State == store.Taken {
				go t.release(c.route, key, token, false)
			}
			s.turn = found
			return s
		case lease.State == store.Taken:
			s.tenure = t.hold(c.route, key, token)
			return s
		case lease.State == store.Refused:
			s.turn = refused
			return s
		case lease.State == store.Unleased, t.dead.has(key, lease.Beat, time.Now()):
			old.err = s.err
			return old
		case pulse.dead(lease.Beat, time.Now()):
			t.dead.add(key, lease.Beat, time.Now())
			old.err = s.err
			return old
		}
		c.left = left // the wait is for the other process' load, and not for a slow store
		if old.turn = c.rest(pause, until); old.turn != loads {
			if old.turn == tooLong && !c.renews {
				old.turn = loads
			}
			return old
		}
	}
}

// pulse is what a held lease shows of its holder.
type pulse struct {
	beat  uint64
	since time.Time
}

// dead reports whether a lease has not been extended for longer than it lasts: there is something wrong with its store.
func (p *pulse) dead(beat uint64, now time.Time) bool {
	if p.since.IsZero() || beat != p.beat {
		*p = pulse{beat, now}
	}
	return now.Sub(p.since) > leaseFor+leaseFor/4
}

// deadFor is how long a lease that does not beat is not waited for again.
const deadFor = maxWait

// dead remembers leases that have not beaten, so that one costs one call its wait, and not each. The table is small and
// forgetful, as that of refusals.
type dead struct {
	mu    sync.Mutex
	slots map[uint16]corpse
}

type corpse struct {
	key   keying.Key
	beat  uint64
	until time.Time
}

func (d *dead) add(key keying.Key, beat uint64, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.slots == nil {
		d.slots = map[uint16]corpse{}
	}
	d.slots[slotOf(key)] = corpse{key, beat, now.Add(deadFor)}
}

func (d *dead) has(key keying.Key, beat uint64, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, known := d.slots[slotOf(key)]
	return known && c.key == key && c.beat == beat && now.Before(c.until)
}

// rest waits for about the time; it says loads if the call is to ask again.
func (c *Call) rest(d time.Duration, until time.Time) turn {
	if !time.Now().Before(until) {
		return tooLong
	}
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return loads
	case <-c.ctx.Done():
	}
	if errors.Is(c.ctx.Err(), context.Canceled) {
		return hungUp
	}
	return late
}

// lease tries to take the lease, and looks. What was not there at the old sight was made just now, by another process.
func (c *Call) lease(key keying.Key, token store.Token, old sight, judge Judge) (sight, store.Lease) {
	if !c.inTime() {
		return c.sight(key, nil, store.Leases, errBudget, Before, judge), store.Lease{}
	}
	var e *store.Entry
	var lease store.Lease
	err := c.do(func(ctx context.Context) (err error) {
		e, lease, err = c.t.leaser.Lease(ctx, key, token, leaseFor)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		lease = store.Lease{}
	}
	made := Before
	if e != nil && !old.has(e) {
		made = c.madeAt(e.Stored)
	}
	return c.sight(key, e, store.Leases, err, made, judge), lease
}
