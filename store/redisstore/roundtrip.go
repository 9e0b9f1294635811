package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// Every command of a request goes the same way:
//
//	guarded       passes the circuit breaker, turns a panic of the client into an error, judges the outcome
//	retryOnDead   tries once more if the pooled connection turns out to be dead
//	exec          sends the pipeline, and gives every command its error
//
// roundTrip is the first two together. The files about entries, leases, rankings and the purge log call it with what they
// want to send.

// roundTrip runs op, which sends one pipeline, behind the gate. The node is the one that op talks to; nil is the node
// that has the purge log.
func (s *Store) roundTrip(ctx context.Context, n *node, gate gate, op func() error) error {
	return s.guarded(ctx, gate, func() error { return s.retryOnDead(ctx, n, op) })
}

// guarded is roundTrip for an op that calls retryOnDead itself.
//
// If an op fails with less than half of the budget left, that proves nothing about Redis: the request was late already.
// Its error is marked, and the breaker does not count it.
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
		err = s.sentinel.explainReply(op())
		if err != nil && short {
			return fmt.Errorf("%w: %w", errShortDeadline, err)
		}
		return err
	})
}

const (
	maxDeadConns  = 100 // dead connections that one operation may meet before it fails
	maxUndetected = 3   // the limit if go-redis detects dead ones: then it hands out only those that died just now
)

// retryOnDead runs op, and runs it again if its connection turns out to be dead. Redis (its timeout setting) and load
// balancers close idle connections, and after a restart of Redis every connection of the pool is dead. Without a retry,
// each of them would cost a request its response.
//
//	attempt 1   go-redis takes idle connection 1 from the pool, writes, reads EOF, and discards it
//	attempt 2   the same with idle connection 2
//	…           no time is lost: a dead connection fails at once
//	attempt n   the pool is empty: go-redis dials, and Redis responds
//
// If the server hangs up on a connection that was dialled just now, that is a failure, and dialling again would not help.
// go-redis does not say which of the two it was, but the counters of the pool do: it hands out idle
// connections first, and counts a miss when it has to dial. If they leave it open, there is one more attempt, unless this
// op is the one that probes whether Redis is back.
//
// An op may therefore run twice. That is harmless: a second SET or UNLINK changes nothing, a lease that was taken by
// the first attempt is recognised by its token, and a purge that is in the log twice has the effect of one.
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
		// Was the connection an idle one? Yes, if there are more of them, or if nothing had to be dialled since the last attempt.
		pool := s.poolStats(ctx, n, err)
		pooled := pool.IdleConns > 0 || attempt > 1 && pool.Misses == misses
		if !pooled && (attempt > 1 || !s.reads.closed() || !n.healthy()) {
			return err
		}
		misses = pool.Misses
	}
}

// disconnected reports whether the error says that the other side has closed the connection.
func disconnected(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// exec sends the pipeline and returns its commands, each with its result.
//
// go-redis reports some failures only as the pipeline's error, above all a connection that Redis refuses by a reply
// (wrong password, too many clients). Every command then looks as if Redis had replied "nothing": an entry would be a
// miss, and a purge would count as written. So exec gives such an error to every command. No other function sends
// pipelines; a test checks that.
func exec(ctx context.Context, pipe redis.Pipeliner) []redis.Cmder {
	cmds, err := pipe.Exec(ctx)
	own := func(cmd redis.Cmder) bool { return cmd.Err() != nil && errors.Is(err, cmd.Err()) }
	if err == nil || slices.ContainsFunc(cmds, own) { // the pipeline's error is that of its first failed command
		return cmds
	}
	err = asConnError(err)
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
	return cmds
}

// errPanic marks an error that was a panic.
var errPanic = errors.New("panic")

// recoverTo turns a panic into an error. The caller's Redis client may have hooks, and they may panic.
func recoverTo(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("%w: %v\n%s", errPanic, v, debug.Stack())
	}
}

// wrap names the package in an error that leaves it.
func wrap(err error) error {
	if err != nil {
		return fmt.Errorf("redisstore: %w", err)
	}
	return nil
}

// What a reply means. Which helper is right depends on the command:
//
//	serverError   reads of entries: a key of another type is a miss, not a fault of Redis
//	firstError    writes, and everything about the purge log: any error is one
//	confirmSet    SET: nothing but "OK" is an acknowledgement

// serverError returns the commands' first error that says something about Redis itself. A key that holds another type does
// not.
func serverError(cmds ...redis.Cmder) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !wrongType(err) {
			return err
		}
	}
	return nil
}

// errUnconfirmed is the error of a write that has neither failed nor been acknowledged.
var errUnconfirmed = errors.New("redis has not said that it did what it was asked")

// confirmSet returns why the entry does not count as stored. A reply without an error is not enough: a hook of the client
// may have swallowed the command.
func confirmSet(set *redis.StatusCmd) error {
	if err := firstError(set); err != nil || set.Val() == "OK" {
		return err
	}
	return errUnconfirmed
}

// firstError returns the first error of commands that write, or that concern the purge log. A log of another type is as
// bad as no Redis: no entry can be judged. None of these commands replies with "nothing", so redis.Nil is an error,
// too: it says something about the connection.
func firstError(cmds ...redis.Cmder) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return err
		}
	}
	return nil
}

// wrongType reports whether the key holds a type that the command is not for.
func wrongType(err error) bool { return repliedWith(err, "WRONGTYPE") }

// repliedWith reports whether Redis has replied with an error of this kind.
func repliedWith(err error, kind string) bool {
	return errors.As(err, new(redis.Error)) && strings.HasPrefix(err.Error(), kind)
}

// Connection errors must not be mistaken for replies. go-redis returns both as the error of a command:
//
//	redis.Nil from GET        the reply: there is no such key
//	redis.Nil from Sentinel   the connection: there is no master of this name
//
// If the second were taken for the first, an unreachable Redis would look like an empty purge log, and this process would
// begin a new one.

// connError is why there is no connection. Whatever the reason looks like, it is not a reply.
type connError struct {
	err       error
	explained bool // in terms of the URL's parts
}

func (e connError) Error() string { return "no connection: " + e.err.Error() }

// Is matches what the reason matches, except redis.Nil: see above.
func (e connError) Is(target error) bool { return target != redis.Nil && errors.Is(e.err, target) }

// isReply reports whether the error is a reply of Redis, or looks like one.
func isReply(err error) bool { return errors.Is(err, redis.Nil) || errors.As(err, new(redis.Error)) }

// asConnError returns a connection error in a form that cannot be mistaken for a reply.
func asConnError(err error) error {
	switch {
	case !isReply(err):
		return err
	case errors.Is(err, redis.Nil) && strings.Contains(err.Error(), "sentinel"):
		return connError{err: fmt.Errorf("sentinel knows no master by the client's MasterName: %w", err)}
	}
	return connError{err: err}
}

// sentinel is a hook of a client that [Open] made for a Sentinel URL. It explains errors in terms of the URL's parts. A nil
// sentinel is valid: there is no Sentinel, or the client is the caller's own.
type sentinel struct {
	master string // as the URL names it
}

// DialHook explains why there is no connection.
func (s *sentinel) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		return conn, s.explainDial(err)
	}
}

func (*sentinel) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (*sentinel) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// explainDial says what a dial error has to do with the URL.
func (s *sentinel) explainDial(err error) error {
	switch {
	case err == nil:
		return nil
	case s == nil:
		return asConnError(err)
	case errors.Is(err, redis.Nil):
		return connError{fmt.Errorf("sentinel knows no master named %q; the URL's master_name must be the name in its configuration, "+
			"sentinel monitor NAME …", s.master), true}
	case authFailed(err):
		return connError{fmt.Errorf("%w (from Sentinel, for which user:password@ before the URL's host is)", err), true}
	}
	return asConnError(err)
}

// explainReply returns the error of an operation in its final form. It says what Redis' reply has to do with the URL:
// Sentinel and Redis have a user and a password each, and the errors of both look the same.
//
// No operation returns redis.Nil for "there is nothing". That was handled before, so a redis.Nil here came from the
// connection.
func (s *sentinel) explainReply(err error) error {
	if errors.Is(err, redis.Nil) {
		err = asConnError(err)
	}
	known := new(connError)
	if s != nil && err != nil && authFailed(err) && !(errors.As(err, known) && known.explained) {
		err = fmt.Errorf("%w (from Redis, for which the URL's parameters username and password are: user:password@ is for Sentinel)", err)
	}
	return redacted(err)
}

// authFailed reports whether a user or a password was refused. Versions of Redis word it differently.
func authFailed(err error) bool {
	text := err.Error()
	for _, sign := range []string{"NOAUTH", "WRONGPASS", "invalid password", "without any password configured"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// redacted returns the error without the arguments of a command. Redis repeats the arguments of a command that it does
// not know, and those of AUTH are secrets.
func redacted(err error) error {
	if err != nil && strings.Contains(err.Error(), argsMarker) {
		return redactedError{err}
	}
	return err
}

// argsMarker is what Redis writes before the arguments.
const argsMarker = ", with args beginning with:"

// redactedError is an error whose text ends before the arguments.
type redactedError struct{ error }

func (e redactedError) Unwrap() error { return e.error }

func (e redactedError) Error() string {
	text, _, _ := strings.Cut(e.error.Error(), argsMarker)
	return text
}
