package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

const (
	defaultPreload = 200
	maxPreload     = 1000
)

// Preload brings into memory what is hottest on HotShared routes, of all processes that share Far, and returns how many
// entries it brought. So a process that has just started need not read all of that from Redis at once when its first
// requests come. Call it once the routes are registered, last before readiness is reported: the copies live as long as any
// other, by the shortest NearTTL of the routes, and end with their purges. SharedGlobal routes do
// not serve them, whatever their keys: what comes from Far is for routes that read Far.
//
// It reads at most n keys, and never more than 1,000; 0 or less means 200. They come one after another, the hottest first,
// until the context ends. An error says what Far answered; it is no reason not to serve. Where Far is no store.Ranker, or
// no route is HotShared, there is nothing to bring, and that is no error.
func (c *Cache) Preload(ctx context.Context, n int) (int, error) {
	ranker, ok := c.far.(store.Ranker)
	ttl := time.Duration(c.shortest.Load())
	if !ok || ttl == 0 {
		return 0, nil
	}
	if n <= 0 {
		n = defaultPreload
	}
	keys, err := ranker.Hottest(ctx, min(n, maxPreload))
	if err != nil {
		return 0, fmt.Errorf("cache: preload: %w", err)
	}
	brought, near := 0, c.nearStore()
	for _, key := range keys {
		ok, err := c.preload(ctx, near, key, ttl)
		if err != nil {
			return brought, fmt.Errorf("cache: preload: %w", err)
		}
		if ok {
			brought++
		}
	}
	return brought, nil
}

// preload leaves a copy of the key's entry near, if there is one that is of use.
func (c *Cache) preload(ctx context.Context, near store.Store, key keying.Key, ttl time.Duration) (bool, error) {
	e, ok, err := c.far.Get(ctx, key)
	if errors.Is(err, store.ErrCorrupt) {
		return false, nil // a miss for requests, too, who report it
	}
	if err != nil || !ok || c.log.Ledger().State(e) != store.Live {
		return false, err
	}
	good := min(ttl, e.Left(time.Now()))
	return good > 0 && near.Set(ctx, key, e, good) == nil, nil
}

// shorten notes the near TTL of a HotShared route. Whose route a preloaded key is cannot be told, so the shortest holds.
func (c *Cache) shorten(ttl time.Duration) {
	for {
		was := c.shortest.Load()
		if was > 0 && was <= int64(ttl) || c.shortest.CompareAndSwap(was, int64(ttl)) {
			return
		}
	}
}
