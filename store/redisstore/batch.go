package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience is how long a batch waits for the one before it to come back.
const patience = time.Millisecond

// batch is what one round trip reads: commands, and after them the purge log's head.
type batch struct {
	cmds    []redis.Cmder
	waiting int           // who has not left; guarded by batches.mu
	done    chan struct{} // closed when it is back; nil: its only reader sends it himself

	// Written before done is closed.
	head *redis.XMessageSliceCmd
	err  error // nothing was read
}

// read sends the command, along with others if there are any under way, and returns the log's head as it was after the
// command, or what kept both from being sent. The caller leaves when ctx ends, and then must not touch the command: it is
// the batch's, which goes on without him.
func (s *Store) read(ctx context.Context, q *batches, cmd redis.Cmder) (*redis.XMessageSliceCmd, error) {
	b, first := q.join(cmd)
	if b.done == nil {
		defer s.next(q, b)
		s.send(ctx, b)
		return b.head, b.err
	}
	if first {
		s.hurry(ctx, q, b)
	}
	select {
	case <-b.done:
		return b.head, b.err
	case <-ctx.Done():
		q.leave(b)
		return nil, fmt.Errorf("waiting for a batch of reads: %w", ctx.Err())
	}
}

// hurry has the batch sent if those under way take long. One of its readers waits here.
func (s *Store) hurry(ctx context.Context, q *batches, b *batch) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-b.done:
	case <-ctx.Done():
	case <-timer.C:
		if q.takeOff(b) {
			go s.sendAll(q, b)
		}
	}
}

// next ends the flight of b. What has gathered meanwhile is sent by a goroutine that ends when there is no more.
func (s *Store) next(q *batches, b *batch) {
	if b = q.landed(b); b != nil {
		go s.sendAll(q, b)
	}
}

func (s *Store) sendAll(q *batches, b *batch) {
	for ; b != nil; b = q.landed(b) {
		s.sendFor(b)
	}
}

// sendFor sends a batch for those who wait for it.
func (s *Store) sendFor(b *batch) {
	defer close(b.done)
	defer func() {
		if p := recover(); p != nil { // the caller's Redis client may have hooks
			b.err = fmt.Errorf("panic: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), s.budget)
	defer cancel()
	s.send(ctx, b)
}

// send asks Redis, and counts in the breaker as one. Where it asked, every command tells for itself.
func (s *Store) send(ctx context.Context, b *batch) {
	err := s.ask(ctx, s.reads.do, func() error {
		pipe := s.client.Pipeline()
		_ = pipe.BatchProcess(ctx, b.cmds...)
		b.head = redis.NewXMessageSliceCmd(ctx, s.log.askHead...)
		_ = pipe.Process(ctx, b.head) // after the values: it knows the purges of what was read
		s.log.touch(ctx, pipe)
		_, _ = pipe.Exec(ctx)
		return cmp.Or(outage(b.cmds...), lost(b.head))
	})
	if b.head == nil {
		b.err = err
	}
}
