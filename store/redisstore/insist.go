package redisstore

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
)

// maxDead bounds how many dead connections one operation puts up with, and unseen how many where go-redis looks at each before
// it is used: there are no more than have died just then.
const (
	maxDeadConns  = 100
	maxUndetected = 3
)

// insist runs op, and runs it again when the connection that it was given turns out to be dead: Redis (timeout) and
// balancers close those that are idle, and a Redis that is started anew leaves nothing but dead ones in the pool. A client
// of the caller's cannot see that where they are encrypted. Each such try takes one out of the pool and costs no time on the
// wire. So it goes on while there are more, within the caller's time.
//
// A server that hangs up on a connection that was dialled just now is another matter: that is a failure. Which of the two it
// was go-redis does not tell. The pool does: it hands out what is idle first, and counts when there is none. What it leaves
// open is given one try, though not by the one request that asks whether Redis is well again.
//
// Whatever is asked here may be done twice: a second SET or UNLINK changes nothing, a lease that was taken is known by its
// token, and a purge that stands in the log twice is one.
func (s *Store) retryOnDead(ctx context.Context, n *node, op func() error) error {
	misses, limit := uint32(0), maxDeadConns
	if s.detectsDead {
		limit = maxUndetected
	}
	for attempt := 1; ; attempt++ {
		err := op()
		if !disconnected(err) || attempt > limit || ctx.Err() != nil {
			return err
		}
		pool := s.poolStats(ctx, n, err)
		pooled := pool.IdleConns > 0 || attempt > 1 && pool.Misses == misses
		if !pooled && (attempt > 1 || !s.reads.closed() || !n.healthy()) {
			return err
		}
		misses = pool.Misses
	}
}

// hungUp reports whether the error says that the other side has closed the connection.
func disconnected(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}
