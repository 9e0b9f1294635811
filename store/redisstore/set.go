package redisstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Set keeps the entry, which it does not retain. An entry that cannot be encoded, or not within Options.MaxBytes, is
// refused with an error that wraps store.ErrRefused. A keep of zero or less forgets the key.
func (s *Store) Set(ctx context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	if keep <= 0 { // to go-redis 0 is for ever and -1 keeps the old time to live
		return s.Delete(ctx, key)
	}
	b, err := s.encode(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	n := s.nodes.of(ctx, s.shared, key)
	defer s.oversized.replaced(key, len(b))
	return wrap(s.roundTrip(ctx, n, s.writeGate(n), func() error {
		return n.wrap(confirmSet(s.client.Set(ctx, s.entryName(key), b, max(keep, time.Millisecond))))
	}))
}

func (s *Store) encode(e *store.Entry) ([]byte, error) {
	b, err := s.codec.Encode(e)
	if err != nil {
		return nil, fmt.Errorf("redisstore: %w: %w", store.ErrRefused, err)
	}
	if len(b) > s.maxBytes {
		return nil, fmt.Errorf("redisstore: %w: %d bytes; at most %d", store.ErrRefused, len(b), s.maxBytes)
	}
	return b, nil
}

// deleteAtOnce is how many keys one round trip deletes.
const deleteChunkSize = 1000

// Delete forgets the keys, a thousand per round trip.
func (s *Store) Delete(ctx context.Context, keys ...keying.Key) error {
	for some := range slices.Chunk(keys, deleteChunkSize) {
		if err := s.deleteChunk(ctx, some); err != nil {
			return wrap(err)
		}
	}
	return nil
}

func (s *Store) deleteChunk(ctx context.Context, keys []keying.Key) error {
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	defer s.oversized.forget(keys...)
	n := &s.nodes.fallback
	if len(keys) == 1 {
		n = s.nodes.of(ctx, s.shared, keys[0])
	}
	return s.roundTrip(ctx, n, s.writeGate(n), func() error {
		pipe := s.client.Pipeline()
		for _, key := range keys {
			pipe.Unlink(ctx, s.entryName(key)) // one by one: on a cluster they live apart
		}
		return n.wrap(firstError(exec(ctx, pipe)...))
	})
}
