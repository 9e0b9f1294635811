package redisstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

var _ store.Leaser = (*Store)(nil)

// refusedLease is what stands in a lease's place while it is refused: no token is that short.
const refusedMark = "-"

// Lease takes the lease and reads the entry and the purge log's head in one round trip. While Redis keeps failing the
// error wraps [ErrOpen]. A Redis that takes no scripts has no leases.
func (s *Store) Lease(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (*store.Entry, store.Lease, error) {
	if s.leasesOff.Load() {
		return nil, store.Lease{}, nil
	}
	if s.oversized.has(key) {
		return nil, store.Lease{}, wrap(errOversized)
	}
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	var holder, value *redis.StringCmd
	var left *redis.DurationCmd
	var head *redis.XMessageSliceCmd
	n := s.nodes.of(ctx, s.shared, key)
	take := func() error {
		pipe := s.client.Pipeline()
		took := pipe.SetNX(ctx, s.leaseName(key), append(token[:], newBeat()...), atLeastMilli(hold))
		holder, left = pipe.Get(ctx, s.leaseName(key)), pipe.PTTL(ctx, s.leaseName(key))
		value = pipe.GetRange(ctx, s.entryName(key), 0, int64(s.maxBytes)) // after the lease: see Leaser
		head = pipe.XRevRangeN(ctx, s.log.name, "+", "-", 1)
		s.log.extend(ctx, pipe)
		exec(ctx, pipe)
		err := holderError(holder)
		if denied(err) { // which says nothing of writes
			err = nil
		}
		return n.readError(head, cmp.Or(serverError(took, value), err))
	}
	oversized := false
	err := s.guarded(ctx, s.writeGate(n), func() error {
		err := s.retryOnDead(ctx, n, take)
		oversized = disconnected(err) && s.isOversized(ctx, n, key)
		if oversized { // nor does this
			return nil
		}
		return err
	})
	switch {
	case err != nil:
	case oversized:
		err = errOversized
	case denied(holder.Err()):
		err = s.disableLeases(holder.Err())
	default:
		err = s.catchUpForRequest(ctx, head)
	}
	if err != nil {
		return nil, store.Lease{}, fmt.Errorf("redisstore: lease: %w", err)
	}
	lease := parseLease(holder, token)
	if lease.State != store.Taken && outlasts(left, hold) { // also what is no lease, or there would be none for this key
		if n, err := s.runLeaseScript(ctx, takeOverScript, key, token, atLeastMilli(hold)); n == 1 && err == nil {
			lease = store.Lease{State: store.Taken}
		}
	}
	if lease.State == store.Unleased {
		return nil, lease, nil
	}
	e, err := s.decode(key, value)
	return e, lease, wrap(err)
}

// heldBy returns the error of a look at who holds a lease that says something of Redis itself: nobody may, any more.
func holderError(holder *redis.StringCmd) error {
	if errors.Is(holder.Err(), redis.Nil) {
		return nil
	}
	return serverError(holder)
}

// leaseOf reads what stands in the lease's place. What is no lease of ours is as good as none.
func parseLease(holder *redis.StringCmd, token store.Token) store.Lease {
	text, err := holder.Result()
	switch {
	case errors.Is(err, redis.Nil): // it ended just now: ask again
		return store.Lease{State: store.Held}
	case text == refusedMark:
		return store.Lease{State: store.Refused}
	case err != nil, len(text) != len(token)+8:
		return store.Lease{}
	case text[:len(token)] == string(token[:]):
		return store.Lease{State: store.Taken}
	}
	return store.Lease{State: store.Held, Beat: binary.BigEndian.Uint64([]byte(text[len(token):]))}
}

// stuck reports whether a lease lasts longer than any that we give: whatever stands in its place was put there by somebody
// else, or Redis' clock was set back since. Nobody gives it back, and to wait for it would cost every miss of the key.
func outlasts(left *redis.DurationCmd, hold time.Duration) bool {
	ttl, err := left.Result()
	return err == nil && (ttl == -1 || ttl > hold+leaseSlack)
}

// longer is by how much the leases of another version may be.
const leaseSlack = 10 * time.Second

func newBeat() []byte { return binary.BigEndian.AppendUint64(nil, rand.Uint64()) }

// leaseName has the entry's name as its hash tag: on a cluster the two live on the same node, which sees to the order of
// what is asked of both.
func (s *shared) leaseName(key keying.Key) string {
	return s.prefix + "lease:{" + s.entryName(key) + "}"
}
