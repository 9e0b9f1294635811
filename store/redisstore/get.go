package redisstore

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Get reads the entry and the purge log's head in one round trip, and the log's news if there are any. When it cannot
// tell what was purged, it returns an error and no entry. While Redis keeps failing the error wraps [ErrOpen].
func (s *Store) Get(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	if s.oversized.has(key) {
		return nil, false, wrap(errOversized)
	}
	ctx, cancel := s.withBudget(ctx)
	defer cancel()
	value, head, err := s.read(ctx, key)
	if err == nil {
		err = serverError(value)
	}
	if err == nil {
		err = s.catchUpForRequest(ctx, head)
	}
	if err != nil {
		return nil, false, fmt.Errorf("redisstore: %w", s.explain(err))
	}
	e, err := s.decode(key, value)
	if err != nil {
		return nil, false, fmt.Errorf("redisstore: %w", err)
	}
	return e, e != nil, nil
}

// within bounds ctx by the budget, if it is not bound as much already.
func (s *shared) withBudget(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= s.budget {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.budget)
}

// entry decodes what is kept under the key; nil is nothing.
func (s *Store) decode(key keying.Key, value *redis.StringCmd) (*store.Entry, error) {
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
