package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
)

// Beyond these, purges that Redis could not be told of become one of everything.
const (
	maxOwed       = 1000
	maxOwedLabels = 1 << 16
)

// owed are purges that Redis could not be told of. They hold for this process; the others are told when Redis answers
// again: by the next read that finds it so, or else by a timer, which runs while something is owed.
type owed struct {
	some    atomic.Bool
	mu      sync.Mutex
	records []*store.Record
	labels  int
	timed   bool // a timer sees to it that Redis is told
}

// add returns true if there is no timer yet: the caller starts it.
func (o *owed) add(r store.Record) (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.records = append(o.records, &r)
	o.labels += len(r.Labels)
	if len(o.records) > maxOwed || o.labels > maxOwedLabels {
		o.records, o.labels = []*store.Record{{All: true}}, 0
	}
	o.some.Store(true)
	first, o.timed = !o.timed, true
	return first
}

// timerEnds reports whether the timer has nothing more to do, or never will: then the next purge that is owed starts it.
func (o *owed) timerEnds(closed bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.timed = len(o.records) > 0 && !closed
	return !o.timed
}

// first returns the oldest purge that is owed, or nil.
func (o *owed) first() *store.Record {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.records) == 0 {
		return nil
	}
	return o.records[0]
}

func (o *owed) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.records)
}

// paid strikes the purge out, unless it has become part of one of everything meanwhile.
func (o *owed) paid(r *store.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.records) > 0 && o.records[0] == r {
		o.records = o.records[1:]
		o.labels -= len(r.Labels)
		o.some.Store(len(o.records) > 0)
	}
}

// applyTo takes what is owed into a ledger that has been replaced.
func (o *owed) applyTo(l *store.Ledger) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.records {
		l.ApplyHere(*r)
	}
}

// settle tells Redis what it is owed. The caller has the turn.
func (s *Store) settle(ctx context.Context, w way) error {
	if !s.log.owed.some.Load() {
		return nil
	}
	for r := s.log.owed.first(); r != nil; r = s.log.owed.first() {
		if err := s.appendAll(ctx, w, *r); err != nil {
			return err
		}
		s.log.owed.paid(r)
	}
	return nil
}

// trySettle is settle for whoever would not wait for the turn.
func (s *Store) trySettle(ctx context.Context, w way) {
	select {
	case s.log.turn <- struct{}{}:
		defer s.endTurn()
		_ = s.settle(ctx, w)
	default:
	}
}

// owe takes in a purge that Redis could not be told of.
func (s *Store) owe(r store.Record) {
	s.log.ledger.ApplyHere(r)
	if s.log.owed.add(r) {
		s.tellAfter(leastRest)
	}
}

// tellAfter has Redis told what it is owed after a rest. The timer ends with the Store.
func (s *Store) tellAfter(rest time.Duration) {
	ctx, cancel := context.WithCancel(s.life)
	timer := time.AfterFunc(jittered(rest), func() {
		defer cancel()
		s.tellOwed(rest)
	})
	context.AfterFunc(ctx, func() { timer.Stop() })
}

// tellOwed tells Redis what it is owed, and takes a longer rest if that fails.
func (s *Store) tellOwed(rest time.Duration) {
	before := s.log.owed.count()
	err := s.tell()
	if s.log.owed.timerEnds(s.life.Err() != nil || errors.Is(err, redis.ErrClosed)) {
		return
	}
	if s.log.owed.count() < before {
		rest = leastRest / 2
	}
	s.tellAfter(min(2*rest, mostRest))
}

// tell is one attempt. A Redis that is given a rest is not asked, and what comes of it does not count for that. A panic is a
// fault of its own: no request meets it.
func (s *Store) tell() error {
	err := s.trySettling()
	if errors.Is(err, errPanic) {
		s.faults.tell("", fmt.Errorf("redisstore: telling Redis of a purge: %w", err))
	}
	return err
}

func (s *Store) trySettling() (err error) {
	defer caught(&err)
	ctx, cancel := context.WithTimeout(s.life, s.budget)
	defer cancel()
	if err := s.log.lock(ctx); err != nil {
		return err
	}
	defer s.endTurn()
	return s.settle(ctx, s.aside())
}
