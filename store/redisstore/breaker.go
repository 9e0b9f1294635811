package redisstore

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
)

// ErrOpen is returned, wrapped, while Redis is given a rest: it failed several times in a row, or half of the time, and
// is not asked for more than half a second. Then one request asks again. Each node of a cluster rests for itself.
var ErrOpen = errors.New("redis keeps failing and is not asked for a while")

// errHurried marks a failure that says more of the caller's deadline than of Redis.
var errShortDeadline = errors.New("too little time was left")

const (
	tripAfter  = 5  // failures in a row
	tripSample = 20 // operations in breakerWindow, half of which failed

	breakerWindow = time.Second
	openFor       = 600 * time.Millisecond // so that probes are fewer than two a second, along with what follows the log
)

// breaker keeps a Redis that fails from costing every request its budget.
type breaker struct {
	circuit     *gobreaker.CircuitBreaker[struct{}]
	ofNode      bool // of a cluster: it is none of its matter what other nodes do
	consecutive int  // guarded by the circuit's lock, under which its callbacks run; gobreaker's own count ends with the window

	notify  func(error)                     // that a rest begins, with its cause, or with nil that it is over
	changed atomic.Pointer[gobreaker.State] // not told yet
}

func newBreaker(notify func(error)) *breaker {
	b := &breaker{notify: notify}
	b.circuit = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  1,
		Interval:     breakerWindow,
		BucketPeriod: breakerWindow / 10,
		Timeout:      openFor,
		ReadyToTrip:  b.trips,
		IsSuccessful: b.succeeded,
		IsExcluded:   b.excluded,
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if to == gobreaker.StateClosed || from == gobreaker.StateClosed {
				b.changed.Store(&to)
			}
		},
	})
	return b
}

func (b *breaker) trips(c gobreaker.Counts) bool {
	return b.consecutive >= tripAfter || c.Requests >= tripSample && 2*c.TotalFailures >= c.Requests
}

// succeeded counts as a success that all went well but at one node, which has a breaker of its own.
func (b *breaker) succeeded(err error) bool {
	if err != nil && (b.ofNode || !errors.Is(err, errNode)) {
		b.consecutive++
		return false
	}
	b.consecutive = 0
	return true
}

func (b *breaker) excluded(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, errShortDeadline) || b.ofNode && err != nil && !errors.Is(err, errNode)
}

// do asks Redis, or returns ErrOpen at once.
func (b *breaker) do(op func() error) error {
	_, err := b.circuit.Execute(func() (struct{}, error) { return struct{}{}, op() })
	if b.changed.Load() != nil {
		b.notifyChange(err)
	}
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return ErrOpen
	}
	return err
}

// tellChange tells of a change outside of the circuit's lock.
func (b *breaker) notifyChange(err error) {
	switch to := b.changed.Swap(nil); {
	case to == nil:
	case *to == gobreaker.StateClosed:
		b.notify(nil)
	default:
		b.notify(cmp.Or(err, ErrOpen))
	}
}

// always asks Redis even when do would not: a purge is worth the wait.
func (b *breaker) force(op func() error) error {
	if err := b.do(op); !errors.Is(err, ErrOpen) {
		return err
	}
	return op()
}

// aside asks Redis unless it is given a rest. What comes of it does not count: what follows the log on its own account is
// no measure of what requests would meet.
func (b *breaker) uncounted(op func() error) error {
	if b.open() {
		return ErrOpen
	}
	return op()
}

// open reports whether do would return ErrOpen at once.
func (b *breaker) open() bool { return b.circuit.State() == gobreaker.StateOpen }

// closed reports whether do would ask Redis without further ado.
func (b *breaker) closed() bool { return b.circuit.State() == gobreaker.StateClosed }

// outage returns the first error of the commands that says something of Redis itself. A reply that there is something of
// another type is none.
func serverError(cmds ...redis.Cmder) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !wrongType(err) {
			return err
		}
	}
	return nil
}

var errUnconfirmed = errors.New("redis has not said that it did what it was asked")

// stored returns why the entry does not count as stored: only Redis' word is an acknowledgement, and no answer without
// an error, as a hook may give, is none.
func confirmSet(set *redis.StatusCmd) error {
	if err := firstError(set); err != nil || set.Val() == "OK" {
		return err
	}
	return errUnconfirmed
}

// lost returns the first error of commands on the purge log, or of writes. There another type is as bad as no Redis: nothing
// that is kept can be believed. Nor does any of them reply that there is nothing: that would be said of the connection.
func firstError(cmds ...redis.Cmder) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return err
		}
	}
	return nil
}

func wrongType(err error) bool { return repliedWith(err, "WRONGTYPE") }

// replied reports whether Redis has replied with such an error.
func repliedWith(err error, kind string) bool {
	return errors.As(err, new(redis.Error)) && strings.HasPrefix(err.Error(), kind)
}
