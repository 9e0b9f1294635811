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
const refusedLease = "-"

// Lease takes the lease and reads the entry and the purge log's head in one round trip. While Redis keeps failing the
// error wraps [ErrOpen]. A Redis that takes no scripts has no leases.
func (s *Store) Lease(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (*store.Entry, store.Lease, error) {
	if s.unleased.Load() {
		return nil, store.Lease{}, nil
	}
	if s.cuts.has(key) {
		return nil, store.Lease{}, prefixed(errCut)
	}
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	var holder, value *redis.StringCmd
	var left *redis.DurationCmd
	var head *redis.XMessageSliceCmd
	n := s.nodes.of(ctx, s.link, key)
	take := func() error {
		pipe := s.client.Pipeline()
		took := pipe.SetNX(ctx, s.leaseName(key), append(token[:], newBeat()...), atLeast(hold))
		holder, left = pipe.Get(ctx, s.leaseName(key)), pipe.PTTL(ctx, s.leaseName(key))
		value = pipe.GetRange(ctx, s.name(key), 0, int64(s.maxBytes)) // after the lease: see Leaser
		head = pipe.XRevRangeN(ctx, s.log.name, "+", "-", 1)
		s.log.touch(ctx, pipe)
		exec(ctx, pipe)
		err := heldBy(holder)
		if denied(err) { // which says nothing of writes
			err = nil
		}
		return n.failure(head, cmp.Or(outage(took, value), err))
	}
	cut := false
	err := s.askOnce(ctx, s.writingTo(n), func() error {
		err := s.insist(ctx, n, take)
		cut = hungUp(err) && s.cutBy(ctx, n, key)
		if cut { // nor does this
			return nil
		}
		return err
	})
	switch {
	case err != nil:
	case cut:
		err = errCut
	case denied(holder.Err()):
		err = s.unlease(holder.Err())
	default:
		err = s.follow(ctx, head)
	}
	if err != nil {
		return nil, store.Lease{}, fmt.Errorf("redisstore: lease: %w", err)
	}
	lease := leaseOf(holder, token)
	if lease.State != store.Taken && stuck(left, hold) { // also what is no lease, or there would be none for this key
		if n, err := s.script(ctx, takeOver, key, token, atLeast(hold)); n == 1 && err == nil {
			lease = store.Lease{State: store.Taken}
		}
	}
	if lease.State == store.Unleased {
		return nil, lease, nil
	}
	e, err := s.entry(key, value)
	return e, lease, prefixed(err)
}

// heldBy returns the error of a look at who holds a lease that says something of Redis itself: nobody may, any more.
func heldBy(holder *redis.StringCmd) error {
	if errors.Is(holder.Err(), redis.Nil) {
		return nil
	}
	return outage(holder)
}

// leaseOf reads what stands in the lease's place. What is no lease of ours is as good as none.
func leaseOf(holder *redis.StringCmd, token store.Token) store.Lease {
	text, err := holder.Result()
	switch {
	case errors.Is(err, redis.Nil): // it ended just now: ask again
		return store.Lease{State: store.Held}
	case text == refusedLease:
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
func stuck(left *redis.DurationCmd, hold time.Duration) bool {
	ttl, err := left.Result()
	return err == nil && (ttl == -1 || ttl > hold+longer)
}

// longer is by how much the leases of another version may be.
const longer = 10 * time.Second

func newBeat() []byte { return binary.BigEndian.AppendUint64(nil, rand.Uint64()) }

// leaseName has the entry's name as its hash tag: on a cluster the two live on the same node, which sees to the order of
// what is asked of both.
func (l *link) leaseName(key keying.Key) string { return l.prefix + "lease:{" + l.name(key) + "}" }
