package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
)

// patience is how long a batch waits for the one before it to come back.
const maxBatchWait = time.Millisecond

// batch is what one round trip reads: entries, and after them the purge log's head.
type batch struct {
	keys    []keying.Key
	waiters int           // who has not left; guarded by batches.mu
	done    chan struct{} // closed when it is back; nil: its only reader sends it himself

	// Written before done is closed.
	values []*redis.StringCmd // of the keys
	head   *redis.XMessageSliceCmd
	err    error // nothing was read
}

// read reads what is kept under the key, along with others if there are any under way, and the log's head as it was after
// that; or returns what kept it from asking. The caller leaves when ctx ends; the batch goes on without him.
func (s *Store) read(ctx context.Context, key keying.Key) (*redis.StringCmd, *redis.XMessageSliceCmd, error) {
	n := s.nodes.of(ctx, s.shared, key)
	b, i := n.join(key)
	if b.done == nil {
		defer s.finishBatch(n, b)
		s.send(ctx, n, b)
		return b.result(i)
	}
	if i == 0 {
		s.sendIfDelayed(ctx, n, b)
	}
	select {
	case <-b.done:
		return b.result(i)
	case <-ctx.Done():
		n.leave(b)
		return nil, nil, fmt.Errorf("waiting for a batch of reads: %w", ctx.Err())
	}
}

func (b *batch) result(i int) (*redis.StringCmd, *redis.XMessageSliceCmd, error) {
	if b.err != nil {
		return nil, nil, b.err
	}
	return b.values[i], b.head, nil
}

// hurry has the batch sent if those under way take long. One of its readers waits here.
func (s *Store) sendIfDelayed(ctx context.Context, n *node, b *batch) {
	timer := time.NewTimer(maxBatchWait)
	defer timer.Stop()
	select {
	case <-b.done:
	case <-ctx.Done():
	case <-timer.C:
		if n.startEarly(b) {
			go s.sendQueued(n, b)
		}
	}
}

// next ends the flight of b. What has gathered meanwhile is sent by a goroutine that ends when there is no more.
func (s *Store) finishBatch(n *node, b *batch) {
	if b = n.finished(b); b != nil {
		go s.sendQueued(n, b)
	}
}

func (s *Store) sendQueued(n *node, b *batch) {
	for ; b != nil; b = n.finished(b) {
		s.sendForWaiters(n, b)
	}
}

// sendFor sends a batch for those who wait for it.
func (s *Store) sendForWaiters(n *node, b *batch) {
	defer close(b.done)
	defer func() {
		if p := recover(); p != nil { // the caller's Redis client may have hooks
			b.err = fmt.Errorf("panic: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), s.budget)
	defer cancel()
	s.send(ctx, n, b)
}

// send asks Redis, and counts in the breaker as one. Where it asked, every command tells for itself.
func (s *Store) send(ctx context.Context, n *node, b *batch) {
	err := s.guarded(ctx, s.readGate(n), func() (err error) {
		b.values = make([]*redis.StringCmd, len(b.keys))
		b.head, err = s.fetch(ctx, n, b.keys, b.values)
		if disconnected(err) && s.mayInspect(n) {
			b.head, err = s.fetchApart(ctx, n, b.keys, b.values)
		}
		return err
	})
	if b.head == nil || errors.Is(err, errPanic) { // which no command tells of
		b.err = err
	}
}

// pull reads the keys and the log's head in one round trip.
func (s *Store) fetch(ctx context.Context, n *node, keys []keying.Key, values []*redis.StringCmd) (head *redis.XMessageSliceCmd, err error) {
	err = s.retryOnDead(ctx, n, func() error {
		cmds := make([]redis.Cmder, len(keys), len(keys)+2)
		s.readCommands(ctx, keys, values, cmds)
		head = redis.NewXMessageSliceCmd(ctx, s.log.headCommand...)
		pipe := s.client.Pipeline()
		_ = pipe.BatchProcess(ctx, append(cmds, head)...) // after the values: it knows the purges of what was read
		s.log.extend(ctx, pipe)
		exec(ctx, pipe)
		return n.readError(head, serverError(cmds...))
	})
	return head, err
}

// commands are those that read the keys, as values and in cmds, too. What they are made of is allocated for all at once.
func (s *Store) readCommands(ctx context.Context, keys []keying.Key, values []*redis.StringCmd, cmds []redis.Cmder) {
	if len(keys) == 0 {
		return
	}
	args := make([]any, 4*len(keys))
	names, each := s.entryNames(keys)
	for i := range keys {
		a := args[4*i : 4*i+4 : 4*i+4]
		a[0], a[1], a[2], a[3] = "getrange", names[each*i:each*(i+1)], 0, s.maxBytesArg
		values[i] = redis.NewStringCmd(ctx, a...)
		cmds[i] = values[i]
	}
}
