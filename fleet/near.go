package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

const nearTTL = time.Second

// near measures how long copies in the memory of other processes outlive a purge. Nothing but hot-shared routes is asked
// for: a read that goes to Redis would bring the news along.
func near(s *stage) ([]figure, error) {
	redis, err := s.redis()
	if err != nil {
		return nil, err
	}
	p, err := s.proxy(redis.addr())
	if err != nil {
		return nil, err
	}
	nodes, err := s.apps(3, redis.url(), "-near", nearTTL.String())
	if err != nil {
		return nil, err
	}
	cutOff, err := s.app(p.url(), "-near", nearTTL.String())
	if err != nil {
		return nil, err
	}
	nodes = append(nodes, cutOff)
	rounds, deadline := or(s, 10_000, 1_000), time.Now().Add(or(s, 20*time.Minute, 12*time.Second))
	var lags []time.Duration
	for i := 0; i < rounds && time.Now().Before(deadline); i++ {
		some, err := s.converge(nodes, []key{nth(hot, i)})
		if err != nil {
			return nil, err
		}
		lags = append(lags, some...)
	}
	p99 := percentile(lags, 0.99)
	figures := []figure{row(
		"the same for copies in memory (hot-shared)", "p99 convergence < 50 ms",
		fmt.Sprintf("p50 %s, p99 %s over %d reads", ms(percentile(lags, 0.5)), ms(p99), len(lags)), p99 < 50*time.Millisecond,
	).timed(true)}
	lags, err = s.cutOff(nodes[0], cutOff, p)
	return append(figures, row(
		"the same on a process that is cut off from Redis, near TTL 1 s", "≤ near TTL",
		fmt.Sprintf("at most %s over %d copies", ms(worst(lags)), len(lags)), len(lags) > 0 && worst(lags) <= nearTTL,
	).timed(len(lags) > 0)), err
}

// converge has all nodes hold copies of the keys, writes, purges on the first node, and returns for how long after that the
// others gave old answers. It asks them every millisecond.
func (s *stage) converge(nodes []*node, keys []key) ([]time.Duration, error) {
	for _, k := range keys {
		for _, n := range nodes {
			if a := s.ask(n, k, time.Now()); !a.fine() {
				return nil, fmt.Errorf("%s: status %d, %w", k.path(), a.status, a.err)
			}
		}
	}
	return s.outlive(nodes, keys, nodes[0].purge)
}

func (s *stage) outlive(nodes []*node, keys []key, purge func(...key) error) ([]time.Duration, error) {
	versions := make([]uint64, len(keys))
	for i, k := range keys {
		versions[i] = s.write(k)
	}
	if err := purge(keys...); err != nil {
		return nil, err
	}
	purged := time.Now()
	lags := make([]time.Duration, len(keys)*(len(nodes)-1))
	var wg sync.WaitGroup
	for i, k := range keys {
		for j, n := range nodes[1:] {
			wg.Go(func() { lags[i*(len(nodes)-1)+j] = s.lag(n, k, versions[i], purged) })
		}
	}
	wg.Wait()
	return lags, s.Err()
}

// lag asks until the answer is new and returns when the last old one was asked for.
func (s *stage) lag(n *node, k key, version uint64, purged time.Time) (lag time.Duration) {
	for s.Err() == nil {
		at := time.Now()
		if a := s.ask(n, k, at); a.fine() && a.answer.version >= version {
			return lag
		}
		lag = at.Sub(purged)
		_ = s.pause(time.Millisecond)
	}
	return lag
}

// cutOff does the same on a process that the purge cannot reach.
func (s *stage) cutOff(other, cutOff *node, p *proxy) ([]time.Duration, error) {
	var all []time.Duration
	for round := range or(s, 20, 2) {
		var keys []key
		for i := range 20 {
			keys = append(keys, nth(hot, 20_000+round*20+i))
		}
		for _, k := range keys {
			s.ask(cutOff, k, time.Now())
		}
		p.set(hole)
		lags, err := s.outlive([]*node{other, cutOff}, keys, other.purge)
		p.set(pass)
		if err != nil {
			return all, err
		}
		all = append(all, lags...)
		if err := s.pause(2 * time.Second); err != nil { // until it trusts Redis again
			return all, err
		}
	}
	return all, nil
}

func worst(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return slices.Max(all)
}
