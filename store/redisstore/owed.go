package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
)

// settle tells Redis what it is owed. The caller has the turn.
func (s *Store) settle(ctx context.Context, w way) error {
	if !s.log.owed.some.Load() {
		return nil
	}
	for r := s.log.owed.first(); r != nil; r = s.log.owed.first() {
		if err := s.appendAll(ctx, w, *r); err != nil {
			return err
		}
		s.log.owed.paid()
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
