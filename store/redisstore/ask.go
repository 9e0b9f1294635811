package redisstore

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// gate is one of a breaker's ways of asking.
type gate func(op func() error) error

// way is how the log is asked: politely for a request, anyway for a purge, aside for whoever follows it.
type access struct{ read, write gate }

func (s *shared) viaBreaker() access { return access{s.reads.do, s.writeViaBreaker} }
func (s *shared) evenIfOpen() access { return access{s.reads.force, s.writes.force} }
func (s *shared) uncounted() access  { return access{s.reads.uncounted, s.writes.uncounted} }

// writing is the polite gate of writes. A Redis that cannot be read is not asked by them either: one probe is enough, and
// while it is out the others need not wait.
func (s *shared) writeViaBreaker(op func() error) error {
	if !s.reads.closed() {
		return ErrOpen
	}
	return s.writes.do(op)
}

// ask runs op, of the node or, nil, of the purge log, through the gate. A caller who leaves it less than half the budget
// learns nothing about Redis.
func (s *Store) roundTrip(ctx context.Context, n *node, gate gate, op func() error) error {
	return s.guarded(ctx, gate, func() error { return s.retryOnDead(ctx, n, op) })
}

// askOnce is ask for what insists by itself.
func (s *Store) guarded(ctx context.Context, gate gate, op func() error) error {
	s.probeIfDue()
	return gate(func() (err error) {
		defer func() { s.probeIfDenied(err) }()
		defer recoverTo(&err)
		if err := ctx.Err(); err != nil {
			return errors.Join(errShortDeadline, err)
		}
		deadline, ok := ctx.Deadline()
		short := ok && time.Until(deadline) < s.budget/2
		err = s.explain(op())
		if err != nil && short {
			return fmt.Errorf("%w: %w", errShortDeadline, err)
		}
		return err
	})
}

// explained is what has kept the caller from asking. Whoever may be told that there is nothing has looked for that before.
func (s *shared) explain(err error) error {
	if errors.Is(err, redis.Nil) {
		err = asConnError(err)
	}
	return redacted(s.sentinel.explainReply(err))
}

// exec sends the pipeline and returns its commands, each with what came of it. Some failures go-redis tells of the pipeline
// alone, above all that Redis has refused a new connection by a reply (a wrong password, too many clients): then every
// command reads as if its answer had been nothing. Here they fail, too. No other function sends pipelines.
func exec(ctx context.Context, pipe redis.Pipeliner) []redis.Cmder {
	cmds, err := pipe.Exec(ctx)
	own := func(cmd redis.Cmder) bool { return cmd.Err() != nil && errors.Is(err, cmd.Err()) }
	if err == nil || slices.ContainsFunc(cmds, own) {
		return cmds
	}
	err = asConnError(err)
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
	return cmds
}

// errPanic is what a panic of the caller's Redis client, which may have hooks, comes to.
var errPanic = errors.New("panic")

// caught makes an error of a panic.
func recoverTo(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("%w: %v\n%s", errPanic, v, debug.Stack())
	}
}

func wrap(err error) error {
	if err != nil {
		return fmt.Errorf("redisstore: %w", err)
	}
	return nil
}
