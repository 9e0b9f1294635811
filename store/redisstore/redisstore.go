// Package redisstore keeps entries and the purge log in Redis 6.2 or newer, alone, as a cluster or behind Sentinel. A
// Redis that is down, hung or slow costs a request at most one short time-out, and soon nothing.
//
//	far, err := redisstore.Open("redis://:password@redis.internal:6379/0")
package redisstore

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Options say how a Store uses Redis. The zero Options are ready to use.
type Options struct {
	// Prefix is what all keys begin with; "" is "larder". Caches that share a prefix share their entries and purges.
	Prefix string
	// MaxBytes is the size of the largest encoded entry that is written or read; 0 or less: 16 MiB.
	MaxBytes int
}

// layout is the version of what is written under which key; another version's keys are never looked at.
const layout = "1"

// A Store keeps entries in Redis, under "<prefix>:1:<key>", and the purges of all processes that share it in a stream,
// "<prefix>:1:log". Every key has a time to live. A Store is made by [New] or [Open] and is safe for concurrent use.
type Store struct {
	*link
	codec  store.Codec
	log    *tail
	queues *nodes
}

var (
	_ store.Store    = (*Store)(nil)
	_ store.Log      = (*Store)(nil)
	_ store.Catcher  = (*Store)(nil)
	_ store.Follower = (*Store)(nil)
	_ store.Sealer   = (*Store)(nil)
)

// link is what a Store shares with those that Sealed made of it.
type link struct {
	client   redis.UniversalClient
	prefix   string
	maxBytes int
	most     any           // maxBytes as an argument
	budget   time.Duration // of one Get, Set or Delete
	reads    *breaker
	writes   *breaker
	close    func() error
	life     context.Context // ends with Close
	end      context.CancelFunc
}

// New returns a Store on the client, which stays the caller's to close. A client that could hold a request up, or
// that reads from replicas, is refused with an error that names the option to change; a UniversalClient that is no
// *redis.Client, *redis.ClusterClient or *redis.Ring is taken on trust. Nothing is dialled.
func New(client redis.UniversalClient, o Options) (*Store, error) {
	budget, err := check(client)
	if err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	if o.Prefix == "" {
		o.Prefix = "larder"
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 16 << 20
	}
	l := &link{
		client: client, prefix: o.Prefix + ":" + layout + ":", maxBytes: o.MaxBytes, most: o.MaxBytes, budget: budget,
		reads: newBreaker(), writes: newBreaker(), close: func() error { return nil },
	}
	l.life, l.end = context.WithCancel(context.Background())
	return &Store{link: l, log: newTail(l.prefix + "log"), queues: new(nodes)}, nil
}

// Close ends [Store.Follow] and closes the client if [Open] made it, for this Store and for those that Sealed made of it.
func (s *Store) Close() error {
	s.end()
	return s.close()
}

// Sealed returns a Store on the same client whose entries and purge records are authenticated under the secret, which is
// copied. It has a purge log of its own.
func (s *Store) Sealed(secret []byte) store.Store {
	secret = slices.Clone(secret)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("log"))
	name := s.prefix + "log:" + hex.EncodeToString(mac.Sum(nil)[:4])
	return &Store{link: s.link, codec: store.Codec{Secret: secret}, log: newTail(name), queues: new(nodes)}
}

// Get reads the entry and the purge log's head in one round trip, and the log's news if there are any. When it cannot
// tell what was purged, it returns an error and no entry. While Redis keeps failing the error wraps [ErrOpen].
func (s *Store) Get(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	name := s.name(key)
	value := redis.NewStringCmd(ctx, "getrange", name, 0, s.most)
	head, err := s.read(ctx, s.queues.of(ctx, s.client, name), value)
	if err == nil {
		err = outage(value)
	}
	if err == nil {
		err = s.follow(ctx, head)
	}
	if err != nil {
		return nil, false, fmt.Errorf("redisstore: %w", err)
	}
	e, err := s.entry(key, value)
	if err != nil {
		return nil, false, fmt.Errorf("redisstore: %w", err)
	}
	return e, e != nil, nil
}

// within bounds ctx by the budget, if it is not bound as much already.
func (l *link) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= l.budget {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, l.budget)
}

// entry decodes what is kept under the key; nil is nothing.
func (s *Store) entry(key keying.Key, value *redis.StringCmd) (*store.Entry, error) {
	b, err := value.Bytes()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	case len(b) == 0:
		return nil, nil
	case len(b) > s.maxBytes:
		return nil, fmt.Errorf("%w: more than %d bytes", store.ErrCorrupt, s.maxBytes)
	}
	e, err := s.codec.Decode(b)
	if err == nil && e.Key != key {
		return nil, fmt.Errorf("%w: made for another key", store.ErrCorrupt)
	}
	return e, err
}

// Set keeps the entry, which it does not retain. An entry that cannot be encoded, or not within Options.MaxBytes, is
// refused with an error that wraps store.ErrRefused. A keep of zero or less forgets the key.
func (s *Store) Set(ctx context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	if keep <= 0 { // to go-redis 0 is for ever and -1 keeps the old time to live
		return s.Delete(ctx, key)
	}
	b, err := s.codec.Encode(e)
	if err != nil {
		return fmt.Errorf("redisstore: %w: %w", store.ErrRefused, err)
	}
	if len(b) > s.maxBytes {
		return fmt.Errorf("redisstore: %w: %d bytes; at most %d", store.ErrRefused, len(b), s.maxBytes)
	}
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	return prefixed(s.ask(ctx, s.writes.do, func() error {
		return outage(s.client.Set(ctx, s.name(key), b, max(keep, time.Millisecond)))
	}))
}

// deleteAtOnce is how many keys one round trip deletes.
const deleteAtOnce = 1000

// Delete forgets the keys, a thousand per round trip.
func (s *Store) Delete(ctx context.Context, keys ...keying.Key) error {
	for some := range slices.Chunk(keys, deleteAtOnce) {
		if err := s.unlink(ctx, some); err != nil {
			return prefixed(err)
		}
	}
	return nil
}

func (s *Store) unlink(ctx context.Context, keys []keying.Key) error {
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	return s.ask(ctx, s.writes.do, func() error {
		pipe := s.client.Pipeline()
		for _, key := range keys {
			pipe.Unlink(ctx, s.name(key)) // one by one: on a cluster they live apart
		}
		cmds, _ := pipe.Exec(ctx)
		return outage(cmds...)
	})
}

func (l *link) name(key keying.Key) string { return l.prefix + key.String() }

// gate is one of a breaker's ways of asking.
type gate func(op func() error) error

// way is how the log is asked: politely for a request, anyway for a purge, aside for whoever follows it.
type way struct{ read, write gate }

func (l *link) politely() way { return way{l.reads.do, l.writes.do} }
func (l *link) anyway() way   { return way{l.reads.always, l.writes.always} }
func (l *link) aside() way    { return way{l.reads.aside, l.writes.aside} }

// ask runs op through the gate. A caller who leaves it less than half the budget learns nothing about Redis.
func (l *link) ask(ctx context.Context, through gate, op func() error) error {
	return through(func() error {
		if err := ctx.Err(); err != nil {
			return errors.Join(errHurried, err)
		}
		deadline, ok := ctx.Deadline()
		hurried := ok && time.Until(deadline) < l.budget/2
		err := op()
		if err != nil && hurried {
			return fmt.Errorf("%w: %w", errHurried, err)
		}
		return err
	})
}

func prefixed(err error) error {
	if err != nil {
		return fmt.Errorf("redisstore: %w", err)
	}
	return nil
}
