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

// trySettle is settle for whoever would not wait for the turn.
func (s *Store) tryFlushPending(ctx context.Context, via access) {
	select {
	case s.log.held <- struct{}{}:
		defer s.unlockLog()
		_ = s.flushPending(ctx, via)
	default:
	}
}

// owe takes in a purge that Redis could not be told of.
func (s *Store) addPending(r store.Record) {
	s.log.ledger.ApplyHere(r)
	if s.log.pending.add(r) {
		s.scheduleFlush(minRetryDelay)
	}
}

// tellAfter has Redis told what it is owed after a rest. The timer ends with the Store.
func (s *Store) scheduleFlush(delay time.Duration) {
	ctx, cancel := context.WithCancel(s.ctx)
	timer := time.AfterFunc(jittered(delay), func() {
		defer cancel()
		s.flushAndReschedule(delay)
	})
	context.AfterFunc(ctx, func() { timer.Stop() })
}

// tellOwed tells Redis what it is owed, and takes a longer rest if that fails.
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

// tell is one attempt. A Redis that is given a rest is not asked, and what comes of it does not count for that. A panic is a
// fault of its own: no request meets it.
func (s *Store) flushInBackground() error {
	err := s.lockAndFlush()
	if errors.Is(err, errPanic) {
		s.faultEvents.notify("", fmt.Errorf("redisstore: telling Redis of a purge: %w", err))
	}
	return err
}

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
