package redisstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A lease decides which process runs the handler when several miss the same entry. It is a key in Redis whose value is the
// holder's token (16 bytes) and a beat (8 bytes, random, new with each extension).
//
// Two processes miss the same entry:
//
//	process A                                  process B
//	SET lease NX → taken; GETRANGE → nothing
//	runs the handler                           SET lease NX → held by A: waits, tries again
//	SET entry, release the lease
//	                                           SET lease NX → taken; GETRANGE → A's entry
//	                                           serves it, and releases the lease
//
// The lease is taken before the entry is read. In the other order B could find no entry, A could store it and release
// the lease, and B would take the lease and run the handler once more.
//
// The holder dies:
//
//	A   takes the lease for 2 s, and is killed: nobody extends it
//	B   sees the same beat each time it tries; after 2 s at most Redis expires the lease, and B takes it
//
// The holder is slow, and loses its lease:
//
//	A   takes the lease, and is stopped (garbage collection, a busy machine) for longer than it lasts
//	B   takes the lease, and runs the handler as well
//	A   goes on: SET entry succeeds; release compares the token, finds B's, and does nothing
//	B   stores its own entry over A's, and releases its own lease
//
// Both entries are valid: each carries its position in the purge log from before its handler ran, and every reader judges
// it by that. So a lost lease costs one run too many, never a wrong response.
//
// The release is lost (Redis was restarted, the connection broke): the lease expires by itself. On a Redis that no
// longer knows the script, SetAndRelease releases once again, with the script's text.
//
// The entry is stored and the lease released in one pipeline, in this order, on one node (the lease's hash tag is the
// entry's name). So nobody finds the lease free and the entry missing.

var _ store.Leaser = (*Store)(nil)

// uncacheableMark replaces the token when the last response could not be stored: then nobody should wait for the next.
const uncacheableMark = "-"

// Lease tries to take the lease for the time hold, and reads the entry and the purge log's head, in one round trip. While
// the circuit is open the error wraps [ErrOpen]. On a Redis that refuses scripts the state is store.Unleased, without an
// error. An entry that cannot be trusted is an error that wraps store.ErrCorrupt; the lease counts all the same.
func (s *Store) Lease(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (*store.Entry, store.Lease, error) {
	if s.leasesOff.Load() {
		return nil, store.Lease{}, nil
	}
	if s.oversized.has(key) {
		return nil, store.Lease{}, wrap(errOversized)
	}
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	r, err := s.tryLease(ctx, key, token, hold)
	if err == nil {
		err = s.catchUpForRequest(ctx, r.head)
	}
	if err != nil {
		return nil, store.Lease{}, fmt.Errorf("redisstore: lease: %w", err)
	}
	lease := parseLease(r.holder, token)
	// What is not one of our leases is taken over, too: otherwise there would never be a lease for this key.
	if lease.State != store.Taken && outlasts(r.left, hold) {
		if n, err := s.runLeaseScript(ctx, takeOverScript, key, token, atLeastMilli(hold)); n == 1 && err == nil {
			lease = store.Lease{State: store.Taken}
		}
	}
	if lease.State == store.Unleased {
		return nil, lease, nil
	}
	e, err := s.decode(key, r.value)
	return e, lease, wrap(err)
}

// leaseReply holds the replies to one attempt to take a lease.
type leaseReply struct {
	holder, value *redis.StringCmd
	left          *redis.DurationCmd
	head          *redis.XMessageSliceCmd
}

// tryLease sends the attempt as one operation for the circuit breaker.
func (s *Store) tryLease(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (r leaseReply, err error) {
	n := s.nodes.of(ctx, s.shared, key)
	oversized := false
	err = s.guarded(ctx, s.writeGate(n), func() error {
		err := s.retryOnDead(ctx, n, func() (err error) {
			r, err = s.sendLease(ctx, n, key, token, hold)
			return err
		})
		oversized = disconnected(err) && s.isOversized(ctx, n, key)
		if oversized { // this one entry's fault, not Redis'
			return nil
		}
		return err
	})
	switch {
	case err != nil:
	case oversized:
		err = errOversized
	case denied(r.holder.Err()):
		err = s.disableLeases(r.holder.Err())
	}
	return r, err
}

// sendLease sends the pipeline: take the lease if it is free, see who has it and for how long, and only then read the
// entry; the head of the log comes last, as in every read.
func (s *Store) sendLease(ctx context.Context, n *node, key keying.Key, token store.Token, hold time.Duration) (r leaseReply, err error) {
	lease := s.leaseName(key)
	pipe := s.client.Pipeline()
	took := pipe.SetNX(ctx, lease, append(token[:], newBeat()...), atLeastMilli(hold))
	r.holder, r.left = pipe.Get(ctx, lease), pipe.PTTL(ctx, lease)
	r.value = pipe.GetRange(ctx, s.entryName(key), 0, int64(s.maxBytes))
	r.head = pipe.XRevRangeN(ctx, s.log.name, "+", "-", 1)
	s.log.extend(ctx, pipe)
	exec(ctx, pipe)
	err = holderError(r.holder)
	if denied(err) { // other writes may still be allowed, so the circuit stays closed
		err = nil
	}
	return r, n.readError(r.head, cmp.Or(serverError(took, r.value), err))
}

// holderError returns the error of reading the holder if it says something about Redis itself. A missing holder does not:
// the lease may have expired in between.
func holderError(holder *redis.StringCmd) error {
	if errors.Is(holder.Err(), redis.Nil) {
		return nil
	}
	return serverError(holder)
}

// parseLease says whose lease it is. A value that is not one of ours counts as "no leases", so nobody waits for it.
func parseLease(holder *redis.StringCmd, token store.Token) store.Lease {
	text, err := holder.Result()
	switch {
	case errors.Is(err, redis.Nil): // it was held when SET came, and expired before GET: try again
		return store.Lease{State: store.Held}
	case text == uncacheableMark:
		return store.Lease{State: store.Uncacheable}
	case err != nil, len(text) != len(token)+8: // another type, or not written by a Store
		return store.Lease{}
	case text[:len(token)] == string(token[:]):
		return store.Lease{State: store.Taken}
	}
	return store.Lease{State: store.Held, Beat: binary.BigEndian.Uint64([]byte(text[len(token):]))}
}

// outlasts reports whether a lease lasts longer than any that we take. Then something else has written it, or Redis'
// clock was set back. Nobody would release it, and every miss of the key would wait.
func outlasts(left *redis.DurationCmd, hold time.Duration) bool {
	ttl, err := left.Result()
	return err == nil && (ttl == -1 || ttl > hold+leaseSlack)
}

// leaseSlack is by how much the leases of another version of this package may be longer.
const leaseSlack = 10 * time.Second

// newBeat returns eight random bytes. A new beat shows the waiters of a lease that its holder is alive.
func newBeat() []byte { return binary.BigEndian.AppendUint64(nil, rand.Uint64()) }

// leaseName has the entry's name as its hash tag: on a cluster, entry and lease live on the same node, which runs their
// commands in the order of the pipeline.
func (s *shared) leaseName(key keying.Key) string {
	return s.prefix + "lease:{" + s.entryName(key) + "}"
}

// ifHeld begins a script that only does something if the token holds the lease.
const ifHeld = `local v = redis.call("GET", KEYS[1])
if not v or #v ~= 24 or string.sub(v, 1, 16) ~= ARGV[1] then return 0 end
`

// The scripts compare the token and act on it in one step. With two commands there would be a gap:
//
//	A   GET lease → A's token
//	    A's lease expires; B takes it
//	A   DEL lease: B's lease is gone, and C takes it while B's handler runs
//
// Each script has one key, so that a cluster can run it on the node of that key.
var (
	extendScript = redis.NewScript(ifHeld + `redis.call("SET", KEYS[1], ARGV[1] .. ARGV[3], "PX", ARGV[2])
return 1`)
	// Several processes may find that the lease lasts too long. The script checks again, so that only one of them takes it.
	takeOverScript = redis.NewScript(`local left = redis.call("PTTL", KEYS[1])
if left ~= -1 and left <= tonumber(ARGV[2]) + ` + strconv.Itoa(int(leaseSlack/time.Millisecond)) + ` then return 0 end
redis.call("SET", KEYS[1], ARGV[1] .. ARGV[3], "PX", ARGV[2])
return 1`)
	releaseScript = redis.NewScript(ifHeld + `
if ARGV[2] == "0" then return redis.call("UNLINK", KEYS[1]) end
redis.call("SET", KEYS[1], "` + uncacheableMark + `", "PX", ARGV[2])
return 1`)
)

// Extend makes the lease last for the time hold from now on, if it is still the token's, and gives it a new beat. It
// returns false if the lease was lost.
func (s *Store) Extend(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (bool, error) {
	n, err := s.runLeaseScript(ctx, extendScript, key, token, atLeastMilli(hold))
	return n == 1, err
}

// SetAndRelease stores the entry and releases the lease in one round trip. After an error the lease may still be held.
func (s *Store) SetAndRelease(ctx context.Context, key keying.Key, token store.Token, e *store.Entry, keep time.Duration) error {
	b, err := s.encode(e)
	if err != nil {
		return err
	}
	bound, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	defer s.oversized.replaced(key, len(b))
	var released *redis.Cmd
	err = s.writeTo(bound, key, func() error {
		pipe := s.client.Pipeline()
		set := pipe.Set(bound, s.entryName(key), b, atLeastMilli(keep))
		released = releaseScript.EvalSha(bound, pipe, []string{s.leaseName(key)}, token[:], 0)
		exec(bound, pipe)
		return confirmSet(set)
	})
	if err == nil && released.Err() != nil { // a Redis that was restarted does not know the script by its hash
		return s.Release(ctx, key, token, 0)
	}
	return wrap(err)
}

// Release gives up the lease. With uncacheable above zero nobody gets it for that long. If the token no longer holds
// the lease, nothing changes, and that is not an error.
func (s *Store) Release(ctx context.Context, key keying.Key, token store.Token, uncacheable time.Duration) error {
	if uncacheable > 0 {
		uncacheable = atLeastMilli(uncacheable)
	}
	_, err := s.runLeaseScript(ctx, releaseScript, key, token, uncacheable)
	return err
}

// runLeaseScript runs the script as an operation of its own. A failing script is no reason to open the circuit for
// other writes.
func (s *Store) runLeaseScript(ctx context.Context, script *redis.Script, key keying.Key, token store.Token, d time.Duration) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	var reply error
	err = s.writeTo(ctx, key, func() error {
		n, reply = s.evalScript(ctx, script, s.leaseName(key), token[:], d.Milliseconds(), newBeat())
		if errors.As(reply, new(redis.Error)) && !errors.Is(reply, redis.Nil) { // Redis has replied
			return nil
		}
		return reply
	})
	if err = cmp.Or(err, reply); err != nil {
		if denied(err) {
			err = s.disableLeases(err)
		}
		return 0, fmt.Errorf("redisstore: lease: %w", redacted(err))
	}
	return n, nil
}

// evalScript runs the script by its hash, and by its text if Redis does not know it yet.
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

// disableLeases is called when Redis refuses a command that leases need. Until the probe finds that it is allowed again,
// each process runs the handler for itself.
func (s *Store) disableLeases(err error) error {
	s.probeIfDenied(err)
	s.leasesOff.Store(true)
	return redacted(err)
}

// atLeastMilli returns a time to live that Redis accepts: it refuses zero.
func atLeastMilli(d time.Duration) time.Duration { return max(d, time.Millisecond) }
