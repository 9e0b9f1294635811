package redisstore

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// CatchUp brings the ledger up to the purge log's head, in one round trip if there is no news. While Redis keeps failing
// the error wraps [ErrOpen].
func (s *Store) CatchUp(ctx context.Context) error { return s.catchUpVia(ctx, s.viaBreaker()) }

// catchUpFor is CatchUp for whoever asks that way.
func (s *Store) catchUpVia(ctx context.Context, via access) error {
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	var head *redis.XMessageSliceCmd
	err := s.roundTrip(ctx, nil, via.read, func() error {
		head = redis.NewXMessageSliceCmd(ctx, s.log.headCommand...)
		_ = s.client.Process(ctx, head) // no pipeline: go-redis dials twice for one
		err := firstError(head)
		if err == nil {
			s.log.extend(ctx, s.client)
		}
		return err
	})
	if err == nil {
		err = s.catchUpTo(ctx, via, head)
	}
	return wrap(err)
}

// follow brings the ledger up to the head that was read, for a request.
func (s *Store) catchUpForRequest(ctx context.Context, head *redis.XMessageSliceCmd) error {
	return s.catchUpTo(ctx, s.viaBreaker(), head)
}

// reach brings the ledger up to the head that was read. Most of the time it is there already.
func (s *Store) catchUpTo(ctx context.Context, via access, cmd *redis.XMessageSliceCmd) error {
	if err := cmd.Err(); err != nil {
		return fmt.Errorf("the purge log: %w", err)
	}
	var head message
	if records := cmd.Val(); len(records) > 0 {
		head = messageOf(records[0])
	}
	before, known := s.log.catchUps.Load(), head.id != "" && s.log.isHead(head)
	if known && !s.log.pending.any.Load() {
		return nil
	}
	if known {
		s.tryFlushPending(ctx, via)
		return nil
	}
	if err := s.log.lock(ctx); err != nil {
		return err
	}
	defer s.unlockLog()
	// Two turns later somebody has read the log from beginning to end since we read its head, whatever that was.
	if !s.log.isHead(head) && s.log.catchUps.Load() < before+2 {
		if err := s.replayLog(ctx, via); err != nil {
			return err
		}
	}
	_ = s.flushPending(ctx, via) // not this request's fault; what is owed holds here anyway
	return nil
}
