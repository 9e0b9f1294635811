package redisstore

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// gate is one of a breaker's ways of asking.
type gate func(op func() error) error

// way is how the log is asked: politely for a request, anyway for a purge, aside for whoever follows it.
type way struct{ read, write gate }

func (l *link) politely() way { return way{l.reads.do, l.writing} }
func (l *link) anyway() way   { return way{l.reads.always, l.writes.always} }
func (l *link) aside() way    { return way{l.reads.aside, l.writes.aside} }

// writing is the polite gate of writes. A Redis that cannot be read is not asked by them either: one probe is enough, and
// while it is out the others need not wait.
func (l *link) writing(op func() error) error {
	if !l.reads.closed() {
		return ErrOpen
	}
	return l.writes.do(op)
}

// ask runs op through the gate. A caller who leaves it less than half the budget learns nothing about Redis.
func (l *link) ask(ctx context.Context, through gate, op func() error) error {
	return through(func() (err error) {
		defer caught(&err)
		if err := ctx.Err(); err != nil {
			return errors.Join(errHurried, err)
		}
		deadline, ok := ctx.Deadline()
		hurried := ok && time.Until(deadline) < l.budget/2
		err = l.insist(ctx, op)
		if err != nil && hurried {
			return fmt.Errorf("%w: %w", errHurried, err)
		}
		return err
	})
}

// caught makes an error of a panic: the caller's Redis client may have hooks.
func caught(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
	}
}

func prefixed(err error) error {
	if err != nil {
		return fmt.Errorf("redisstore: %w", err)
	}
	return nil
}
