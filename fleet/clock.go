package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
)

// clock starts three processes that share a Redis. Their clocks are an hour ahead, an hour behind, and right; see skewed.
func clock(s *stage) ([]figure, error) {
	const ttl = 2 * time.Second
	redis, err := s.redis()
	if err != nil {
		return nil, err
	}
	var nodes []*node
	for _, skew := range []string{"1h", "-1h", "0"} {
		n, err := s.app(redis.URL(), "-ttl", ttl.String(), "-near", "1s", "-skew", skew)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	v := s.unpurged(nodes, or(s, 2*time.Minute, 6*time.Second), ttl)
	a := agreement{kinds: []kind{fleet, user}, workers: 4, slow: 4 * time.Millisecond}
	a.rounds.Store(1000) // other keys
	a.play(s, nodes, or(s, 10_000, 300), func() bool { return true })
	a.rounds.Add(-1000)
	return []figure{row(
		"clocks of two processes ± 1 h apart from a third's, TTL 2 s", "no stale read beyond the bound",
		fmt.Sprintf("without purges: %v; with purges: %v", v, &a), v.clean() && a.afterPurge.Load() == 0 && a.failed.Load() == 0,
	)}, s.Err()
}

// unpurged writes data without a purge: old responses end only by their TTL.
func (s *stage) unpurged(nodes []*node, lasts, bound time.Duration) *verdicts {
	some := func() key { return nth([]kind{user, fleet, hot}[rand.IntN(3)], rand.IntN(20)) }
	deadline := time.Now().Add(lasts)
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for time.Now().Before(deadline) && s.pause(5*time.Millisecond) == nil {
			s.write(some())
		}
	}()
	v := new(verdicts)
	v.closedLoop(s, 6, 1<<30, lasts, bound, new(purged), func() (*node, key) { return nodes[rand.IntN(len(nodes))], some() })
	<-wrote
	return v
}

// skewed makes a process behave as if its wall clock were ahead. The clock itself cannot be faked: Go reads it without libc,
// so libfaketime has no effect, and a Linux time namespace shifts only the monotonic clock. But only one reading of the
// wall clock ever leaves a process: Entry.Stored. So it is enough to shift that one, in both directions:
//
//   - an entry that the process writes carries a shifted Stored;
//   - an entry that the process reads looks older or younger to it by the same duration.
//
// Everything else is redisstore's.
type skewed struct {
	*redisstore.Store
	ahead time.Duration
}

var (
	_ store.Follower = skewed{}
	_ store.Leaser   = skewed{}
)

func (s skewed) Get(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	e, ok, err := s.Store.Get(ctx, key)
	if ok {
		e = shifted(e, -s.ahead)
	}
	return e, ok, err
}

func (s skewed) Set(ctx context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	return s.Store.Set(ctx, key, shifted(e, s.ahead), keep)
}

func (s skewed) Lease(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (*store.Entry, store.Lease, error) {
	e, lease, err := s.Store.Lease(ctx, key, token, hold)
	if e != nil {
		e = shifted(e, -s.ahead)
	}
	return e, lease, err
}

func (s skewed) SetAndRelease(ctx context.Context, key keying.Key, token store.Token, e *store.Entry, keep time.Duration) error {
	return s.Store.SetAndRelease(ctx, key, token, shifted(e, s.ahead), keep)
}

// shifted returns a copy that has the exported fields, which are those that leave the process, and a shifted Stored.
func shifted(e *store.Entry, by time.Duration) *store.Entry {
	c := new(store.Entry)
	from, to := reflect.ValueOf(e).Elem(), reflect.ValueOf(c).Elem()
	for i := range from.NumField() {
		if from.Type().Field(i).IsExported() {
			to.Field(i).Set(from.Field(i))
		}
	}
	c.Stored = e.Stored.Add(by)
	return c
}
