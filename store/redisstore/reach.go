package redisstore

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// CatchUp brings the ledger up to the purge log's head, in one round trip if there is no news. While Redis keeps failing
// the error wraps [ErrOpen].
func (s *Store) CatchUp(ctx context.Context) error { return s.catchUpFor(ctx, s.politely()) }

// catchUpFor is CatchUp for whoever asks that way.
func (s *Store) catchUpFor(ctx context.Context, w way) error {
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	var head *redis.XMessageSliceCmd
	err := s.ask(ctx, nil, w.read, func() error {
		head = redis.NewXMessageSliceCmd(ctx, s.log.askHead...)
		_ = s.client.Process(ctx, head) // no pipeline: go-redis dials twice for one
		err := lost(head)
		if err == nil {
			s.log.touch(ctx, s.client)
		}
		return err
	})
	if err == nil {
		err = s.reach(ctx, w, head)
	}
	return prefixed(err)
}

// follow brings the ledger up to the head that was read, for a request.
func (s *Store) follow(ctx context.Context, head *redis.XMessageSliceCmd) error {
	return s.reach(ctx, s.politely(), head)
}

// reach brings the ledger up to the head that was read. Most of the time it is there already.
func (s *Store) reach(ctx context.Context, w way, cmd *redis.XMessageSliceCmd) error {
	if err := cmd.Err(); err != nil {
		return fmt.Errorf("the purge log: %w", err)
	}
	var head message
	if records := cmd.Val(); len(records) > 0 {
		head = read(records[0])
	}
	done, known := s.log.done.Load(), head.id != "" && s.log.knows(head)
	if known && !s.log.owed.some.Load() {
		return nil
	}
	if known {
		s.trySettle(ctx, w)
		return nil
	}
	if err := s.log.lock(ctx); err != nil {
		return err
	}
	defer s.endTurn()
	// Two turns later somebody has read the log from beginning to end since we read its head, whatever that was.
	if !s.log.knows(head) && s.log.done.Load() < done+2 {
		if err := s.catchUp(ctx, w); err != nil {
			return err
		}
	}
	_ = s.settle(ctx, w) // not this request's fault; what is owed holds here anyway
	return nil
}
