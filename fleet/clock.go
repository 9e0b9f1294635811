package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// clock has processes share a Redis whose clocks are an hour ahead, an hour behind, and right; see skewed.
func clock(s *stage) ([]figure, error) {
	const ttl = 2 * time.Second
	redis, err := s.redis()
	if err != nil {
		return nil, err
	}
	var nodes []*node
	for _, skew := range []string{"1h", "-1h", "0"} {
		n, err := s.app(redis.url(), "-ttl", ttl.String(), "-near", "1s", "-skew", skew)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	v := s.untold(nodes, or(s, 2*time.Minute, 6*time.Second), ttl)
	a := agreement{kinds: []kind{fleet, user}, workers: 4, slow: 4 * time.Millisecond}
	a.rounds.Store(1000) // other keys
	a.play(s, nodes, or(s, 10_000, 300), func() bool { return true })
	a.rounds.Add(-1000)
	return []figure{row(
		"clocks of two processes ± 1 h apart from a third's, TTL 2 s", "no stale read beyond the bound",
		fmt.Sprintf("without purges: %v; with purges: %v", v, &a), v.clean() && a.outrun.Load() == 0 && a.failed.Load() == 0,
	)}, s.Err()
}

// untold has data change that nobody purges: only the bound ends an old answer.
func (s *stage) untold(nodes []*node, lasts, bound time.Duration) *verdicts {
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
	v.closedLoop(s, 6, 1<<30, lasts, bound, new(told), func() (*node, key) { return nodes[rand.IntN(len(nodes))], some() })
	<-wrote
	return v
}
