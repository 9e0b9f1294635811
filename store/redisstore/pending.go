package redisstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A purge that cannot be written because Redis is away is pending:
//
//	t0   Redis goes away
//	t1   Purge("a") on A fails: A applies it to its own ledger, remembers it, and returns the error
//	     A serves nothing old from now on; other processes cannot read Redis either, so they run their handlers, and
//	     serve copies from memory at most until their time to live ends
//	t2   Redis is back
//	t3   A's next read, or at the latest A's timer, writes the pending purge: now all others see it
//
// It also purges entries that others store between t2 and t3: its position in the log is that of t3. That is on the
// safe side. If A dies before t3 the purge is lost; that is why its caller got an error at t1.
//
// Requests purge as well (a POST purges its URL), the same URLs again and again. So it is not each purge that is remembered,
// but the set of labels that purges name. It is bounded: beyond maxPending labels, URLs become the areas of the site
// that they lie in, and if that is not enough, everything is purged.

// maxPending is how many labels are remembered one by one.
const maxPending = 1 << 16

// pendingPurges are the purges of one log that Redis has not received. They are safe for concurrent use.
type pendingPurges struct {
	any       atomic.Bool // something is pending; requests see it without a lock
	mu        sync.Mutex
	sets      [len(purgeKinds)]purgeSet
	sending   *store.Record // taken out of the sets, and not acknowledged yet
	scheduled bool          // a timer is running that will write what is pending
}

// add returns true if no timer runs; then the caller starts it.
func (p *pendingPurges) add(r store.Record) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(r)
	if p.size() > maxPending {
		p.coarsen()
	}
	p.any.Store(true)
	first, p.scheduled = !p.scheduled, true
	return first
}

// put adds the record to the set of its kind.
func (p *pendingPurges) put(r store.Record) { p.sets[kindOf(r.Soft, r.Wide)].add(r) }

// size returns how many labels are still in the sets.
func (p *pendingPurges) size() (n int) {
	for i := range p.sets {
		n += p.sets[i].size()
	}
	return n
}

// coarsen replaces the URLs by the areas that they lie in, or, if that is still too much, everything by a purge of all:
// then the app itself has named that many labels.
func (p *pendingPurges) coarsen() {
	for i, kind := range purgeKinds {
		s := &p.sets[i]
		if kind.Wide || len(s.urls) == 0 {
			continue
		}
		areas := map[keys.Area]keying.Label{}
		for _, place := range s.urls {
			area, _ := keys.Meant(place)
			areas[area] = place
		}
		clear(s.urls)
		for place := range maps.Values(areas) {
			p.put(store.Record{Labels: []keying.Label{place}, Soft: kind.Soft, Wide: true})
		}
	}
	if p.size() > maxPending/2 { // or the next few purges would lead here again
		p.sets = [len(purgeKinds)]purgeSet{}
		p.put(store.Record{All: true})
	}
}

// next returns the record to write next, or nil. It stays the next one until sent is called: after a failure it is written again.
func (p *pendingPurges) next() *store.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; p.sending == nil && i < len(purgeKinds); i++ {
		if p.sets[i].size() > 0 {
			p.sending = p.sets[i].take(purgeKinds[i])
		}
	}
	return p.sending
}

// sent records that Redis has acknowledged the record that next returned.
func (p *pendingPurges) sent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sending = nil
	p.any.Store(p.size() > 0)
}

// outstanding returns 0 if nothing is pending; a smaller number than before means progress.
func (p *pendingPurges) outstanding() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.size()
	if p.sending != nil {
		n += 1 + len(p.sending.Labels)
	}
	return n
}

// unscheduleIfDone reports whether the timer has nothing left to do, or never will. The next pending purge starts another.
func (p *pendingPurges) unscheduleIfDone(closed bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scheduled = !closed && (p.sending != nil || p.size() > 0)
	return !p.scheduled
}

// applyTo applies what is pending to a ledger that was replaced or restarted.
func (p *pendingPurges) applyTo(l *store.Ledger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sending != nil {
		l.ApplyHere(*p.sending)
	}
	for i, kind := range purgeKinds {
		if s := &p.sets[i]; s.size() > 0 {
			l.ApplyHere(store.Record{Labels: s.labels(2 * s.size()), All: s.all, Soft: kind.Soft, Wide: kind.Wide})
		}
	}
}

// purgeKinds are the kinds of purges that cannot be mixed in one record. Kinds that purge more come first.
var purgeKinds = [...]store.Record{{Wide: true}, {}, {Soft: true, Wide: true}, {Soft: true}}

// kindOf returns the index in purgeKinds.
func kindOf(soft, wide bool) int {
	switch {
	case soft && wide:
		return 2
	case soft:
		return 3
	case wide:
		return 0
	}
	return 1
}

// purgeSet is what pending purges of one kind name.
type purgeSet struct {
	all   bool
	urls  map[keying.Label]keying.Label // URL to place: where on the site it lies
	names map[keying.Label]struct{}     // labels that lie nowhere on the site
}

// size is how many labels the set has; a purge of everything counts as one.
func (s *purgeSet) size() int {
	n := len(s.urls) + len(s.names)
	if s.all {
		n++
	}
	return n
}

// add adds the record's labels. In a record, a place's label applies to the URLs before it; in a wide one the place itself is
// purged.
func (s *purgeSet) add(r store.Record) {
	if s.names == nil {
		s.urls, s.names = map[keying.Label]keying.Label{}, map[keying.Label]struct{}{}
	}
	s.all = s.all || r.All
	from := 0
	for i, place := range r.Labels {
		if _, ok := keys.Meant(place); !ok || r.Wide {
			continue
		}
		for _, url := range r.Labels[from:i] {
			s.urls[url] = place
		}
		from = i + 1
	}
	for _, name := range r.Labels[from:] {
		s.names[name] = struct{}{}
	}
}

// labels returns labels of the set as a record lists them, each URL followed by its place, and no more than most.
func (s *purgeSet) labels(most int) []keying.Label {
	labels := make([]keying.Label, 0, min(most, 2*len(s.urls)+len(s.names)))
	for url, place := range s.urls {
		if len(labels)+2 > most {
			return labels
		}
		labels = append(labels, url, place)
	}
	for name := range s.names {
		if len(labels) == most {
			break
		}
		labels = append(labels, name)
	}
	return labels
}

// take removes as much as fits into one record, and returns the record.
func (s *purgeSet) take(kind store.Record) *store.Record {
	r := &store.Record{All: s.all, Soft: kind.Soft, Wide: kind.Wide && !s.all}
	if s.all {
		*s = purgeSet{}
		return r
	}
	r.Labels = s.labels(store.MaxLabels)
	for _, label := range r.Labels {
		delete(s.urls, label)
		delete(s.names, label)
	}
	return r
}

// addPending applies a purge here that could not be written, and schedules writing it.
func (s *Store) addPending(r store.Record) {
	s.log.ledger.ApplyHere(r)
	if s.log.pending.add(r) {
		s.scheduleFlush(minRetryDelay)
	}
}

// flushPending writes what is pending. The caller has the log's lock.
func (s *Store) flushPending(ctx context.Context, via access) error {
	if !s.log.pending.any.Load() {
		return nil
	}
	for r := s.log.pending.next(); r != nil; r = s.log.pending.next() {
		if err := s.appendAll(ctx, via, *r); err != nil {
			return err
		}
		s.log.pending.sent()
	}
	return nil
}

// tryFlushPending is flushPending for a request: it does not wait for the lock.
func (s *Store) tryFlushPending(ctx context.Context, via access) {
	select {
	case s.log.held <- struct{}{}:
		defer s.unlockLog()
		_ = s.flushPending(ctx, via)
	default:
	}
}

// scheduleFlush writes the pending purges after a delay. A process that gets no requests needs this: nothing else would
// write them. The timer ends with the Store.
func (s *Store) scheduleFlush(delay time.Duration) {
	ctx, cancel := context.WithCancel(s.ctx)
	timer := time.AfterFunc(jittered(delay), func() {
		defer cancel()
		s.flushAndReschedule(delay)
	})
	context.AfterFunc(ctx, func() { timer.Stop() })
}

// flushAndReschedule writes what is pending. If that fails it tries again after twice the delay, or after the shortest one if
// something was written.
func (s *Store) flushAndReschedule(delay time.Duration) {
	before := s.log.pending.outstanding()
	err := s.flushInBackground()
	if s.log.pending.unscheduleIfDone(s.ctx.Err() != nil || errors.Is(err, redis.ErrClosed)) {
		return
	}
	if s.log.pending.outstanding() < before {
		delay = minRetryDelay / 2
	}
	s.scheduleFlush(min(2*delay, maxRetryDelay))
}

// flushInBackground is one attempt. It does not call Redis while the circuit is open, and does not count for the breaker.
// A panic is reported as a fault, because there is no request that could return it.
func (s *Store) flushInBackground() error {
	err := s.lockAndFlush()
	if errors.Is(err, errPanic) {
		s.faultEvents.notify("", fmt.Errorf("redisstore: telling Redis of a purge: %w", err))
	}
	return err
}

// lockAndFlush waits one budget for the log's lock and for Redis.
func (s *Store) lockAndFlush() (err error) {
	defer recoverTo(&err)
	ctx, cancel := context.WithTimeout(s.ctx, s.budget)
	defer cancel()
	if err := s.log.lock(ctx); err != nil {
		return err
	}
	defer s.unlockLog()
	return s.flushPending(ctx, s.uncounted())
}
