package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// unconnected is why there is no connection. Sentinel, AUTH and the caller's OnConnect may give as the reason what looks like
// Redis' reply to what was asked for, above all that there is nothing: it must not be taken for that.
type connError struct {
	err       error
	explained bool // by a URL
}

func (e connError) Error() string { return "no connection: " + e.err.Error() }

func (e connError) Is(target error) bool { return target != redis.Nil && errors.Is(e.err, target) }

// isReply reports whether the error is, or looks like, a reply of Redis'.
func isReply(err error) bool { return errors.Is(err, redis.Nil) || errors.As(err, new(redis.Error)) }

// unlikeReply is the error of a connection, which looks like no reply.
func asConnError(err error) error {
	switch {
	case !isReply(err):
		return err
	case errors.Is(err, redis.Nil) && strings.Contains(err.Error(), "sentinel"):
		return connError{err: fmt.Errorf("sentinel knows no master by the client's MasterName: %w", err)}
	}
	return connError{err: err}
}

// sentinel is what stands between a client that [Open] made and Redis. A nil one is none, or none that we know of.
type sentinel struct {
	master string // as the URL names it
}

// explain says of an error what the URL has to do with it.
func (s *sentinel) explain(err error) error {
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

// explainReply says of Redis' reply what the URL has to do with it.
func (s *sentinel) explainReply(err error) error {
	if known := new(connError); s == nil || err == nil || errors.As(err, known) && known.explained || !authFailed(err) {
		return err
	}
	return fmt.Errorf("%w (from Redis, for which the URL's parameters username and password are: user:password@ is for Sentinel)", err)
}

// curt is an error without the arguments of a command: Redis repeats those of one that it does not know, and AUTH's are
// secrets.
type redactedError struct{ error }

func (e redactedError) Unwrap() error { return e.error }

func (e redactedError) Error() string {
	text, _, _ := strings.Cut(e.error.Error(), argsMarker)
	return text
}

// repeats is what the arguments stand after.
const argsMarker = ", with args beginning with:"

func redacted(err error) error {
	if err != nil && strings.Contains(err.Error(), argsMarker) {
		return redactedError{err}
	}
	return err
}

func authFailed(err error) bool {
	text := err.Error()
	for _, sign := range []string{"NOAUTH", "WRONGPASS", "invalid password", "without any password configured"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// DialHook explains why there is no connection.
func (s *sentinel) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		return conn, s.explain(err)
	}
}

func (*sentinel) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (*sentinel) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
