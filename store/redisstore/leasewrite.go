package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// mine ends a script that is not the holder's. A lease is the holder's token and a beat.
const ifHeld = `local v = redis.call("GET", KEYS[1])
if not v or #v ~= 24 or string.sub(v, 1, 16) ~= ARGV[1] then return 0 end
`

// The scripts are of one key, and so are for a cluster what any command is.
var (
	extendScript = redis.NewScript(ifHeld + `redis.call("SET", KEYS[1], ARGV[1] .. ARGV[3], "PX", ARGV[2])
return 1`)
	// takeOver looks once more, for of those who find the lease stuck one only is to have it.
	takeOverScript = redis.NewScript(`local left = redis.call("PTTL", KEYS[1])
if left ~= -1 and left <= tonumber(ARGV[2]) + ` + strconv.Itoa(int(leaseSlack/time.Millisecond)) + ` then return 0 end
redis.call("SET", KEYS[1], ARGV[1] .. ARGV[3], "PX", ARGV[2])
return 1`)
	releaseScript = redis.NewScript(ifHeld + `
if ARGV[2] == "0" then return redis.call("UNLINK", KEYS[1]) end
redis.call("SET", KEYS[1], "` + refusedMark + `", "PX", ARGV[2])
return 1`)
)

// Extend makes the lease last, if it is still the token's.
func (s *Store) Extend(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (bool, error) {
	n, err := s.runLeaseScript(ctx, extendScript, key, token, atLeastMilli(hold))
	return n == 1, err
}

// Keep stores the entry and gives the lease back in one round trip. With an error the lease may still be held.
func (s *Store) Keep(ctx context.Context, key keying.Key, token store.Token, e *store.Entry, keep time.Duration) error {
	b, err := s.encode(e)
	if err != nil {
		return err
	}
	bound, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	defer s.oversized.replaced(key, len(b))
	var given *redis.Cmd
	n := s.nodes.of(bound, s.shared, key)
	err = s.roundTrip(bound, n, s.writeGate(n), func() error {
		pipe := s.client.Pipeline()
		set := pipe.Set(bound, s.entryName(key), b, atLeastMilli(keep))
		given = releaseScript.EvalSha(bound, pipe, []string{s.leaseName(key)}, token[:], 0)
		exec(bound, pipe)
		return n.wrap(confirmSet(set))
	})
	if err == nil && given.Err() != nil { // a Redis that was started anew does not know the script
		return s.Release(ctx, key, token, 0)
	}
	return wrap(err)
}

// Release gives the lease back, or refuses it to all for a while, if it is still the token's.
func (s *Store) Release(ctx context.Context, key keying.Key, token store.Token, refused time.Duration) error {
	if refused > 0 {
		refused = atLeastMilli(refused)
	}
	_, err := s.runLeaseScript(ctx, releaseScript, key, token, refused)
	return err
}

func (s *Store) runLeaseScript(ctx context.Context, script *redis.Script, key keying.Key, token store.Token, d time.Duration) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	var reply error
	at := s.nodes.of(ctx, s.shared, key)
	err = s.roundTrip(ctx, at, s.writeGate(at), func() error {
		n, reply = s.evalScript(ctx, script, s.leaseName(key), token[:], d.Milliseconds(), newBeat())
		if errors.As(reply, new(redis.Error)) && !errors.Is(reply, redis.Nil) { // that a script fails says nothing of other writes
			return nil
		}
		return at.wrap(reply)
	})
	if err = cmp.Or(err, reply); err != nil {
		if denied(err) {
			err = s.disableLeases(err)
		}
		return 0, fmt.Errorf("redisstore: lease: %w", redacted(err))
	}
	return n, nil
}

// unlease lets leases rest until the probe has looked, since a command that they need is refused.
func (s *Store) disableLeases(err error) error {
	s.probeIfDenied(err)
	s.leasesOff.Store(true)
	return redacted(err)
}

// run runs the script, which Redis knows as a rule.
func (s *Store) evalScript(ctx context.Context, script *redis.Script, key string, args ...any) (int, error) {
	pipe := s.client.Pipeline()
	cmd := script.EvalSha(ctx, pipe, []string{key}, args...)
	if exec(ctx, pipe); repliedWith(cmd.Err(), "NOSCRIPT") {
		pipe = s.client.Pipeline()
		cmd = script.Eval(ctx, pipe, []string{key}, args...)
		exec(ctx, pipe)
	}
	return cmd.Int()
}

// atLeast is a time that Redis takes.
func atLeastMilli(d time.Duration) time.Duration { return max(d, time.Millisecond) }
