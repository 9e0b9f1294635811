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
	free bool
}

func (t *Through) io(ctx context.Context) io {
	if !t.remote || t.budget <= 0 {
		return io{ctx: ctx, free: true}
	}
	return io{ctx: context.WithoutCancel(ctx), left: t.budget}
}

var errBudget = errors.New("store: the time for this request's store operations was used up")

// any reports whether there is time left.
func (io *io) any() bool { return io.free || io.left > 0 }

func (io *io) do(f func(context.Context) error) error {
	if io.free {
		return f(io.ctx)
	}
	ctx, cancel := context.WithTimeoutCause(io.ctx, io.left, errBudget)
	defer cancel()
	began := time.Now()
	err := f(ctx)
	io.left -= time.Since(began)
	return err
}
