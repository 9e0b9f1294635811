package store

import (
	"context"
	"errors"
	"time"
)

// io is one call's time for its store. The operations do not end with the request: others may be waiting for them.
type io struct {
	ctx  context.Context
	left time.Duration // not used by a store in memory
	all  time.Duration // that there was
	free bool
}

func (t *Through) io(ctx context.Context) io {
	if !t.remote || t.budget <= 0 {
		return io{ctx: ctx, free: true}
	}
	all := t.budget - t.budget/8 // the rest is for timers that are late
	return io{ctx: context.WithoutCancel(ctx), left: all, all: all}
}

var errBudget = errors.New("store: the time for this request's store operations was used up")

// spent is how much of it is used up.
func (io *io) spent() time.Duration { return io.all - io.left }

// spend takes time off that was waited for another call's store.
func (io *io) spend(d time.Duration) {
	if !io.free {
		io.left = max(0, io.left-max(0, d))
	}
}

// any reports whether there is time left.
func (io *io) any() bool { return io.free || io.left > 0 }

func (io *io) do(f func(context.Context) error) error {
	if io.free {
		return f(io.ctx)
	}
	if io.left <= 0 {
		return errBudget
	}
	ctx, cancel := context.WithTimeoutCause(io.ctx, io.left, errBudget)
	defer cancel()
	began := time.Now()
	err := f(ctx)
	io.left -= time.Since(began)
	return err
}
