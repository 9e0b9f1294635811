package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// chaos has three processes, each with its own proxy to Redis, serve 1,000 users on 200 routes. Meanwhile Redis and the
// connections to it fail at random.
func chaos(s *stage) ([]figure, error) {
	const ttl = 3 * time.Second
	c := chaosRun{stage: s}
	var err error
	if c.redis, err = s.redis(); err != nil {
		return nil, err
	}
	for range 3 {
		p, err := s.proxy(c.redis.Addr())
		if err != nil {
			return nil, err
		}
		n, err := s.app(p.url(), "-ttl", ttl.String(), "-near", "1s")
		if err != nil {
			return nil, err
		}
		c.proxies, c.nodes = append(c.proxies, p), append(c.nodes, n)
	}
	s.board.takes(time.Millisecond)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	t := new(purged)
	wg.Go(func() { c.fail(stop) })
	wg.Go(func() {
		for !over(stop) && s.pause(20*time.Millisecond) == nil {
			n, k := c.any()
			s.change(n, k, t)
		}
	})
	var v verdicts
	v.closedLoop(s, 64, or(s, 1_000_000, 100_000), or(s, 20*time.Minute, 45*time.Second), ttl, t, c.any)
	close(stop)
	wg.Wait()
	return []figure{row(
		fmt.Sprintf("%d random faults, 1,000 users × 200 routes, TTL 3 s", c.faults), "0 foreign, 0 truncated, 0 stale beyond the bound",
		fmt.Sprintf("%v; %d older than a purge that had returned", &v, v.afterPurge.Load()), v.clean(),
	)}, s.Err()
}

func over(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// A chaosRun has what the load is sent to, and what fails meanwhile.
type chaosRun struct {
	*stage
	redis   *server
	proxies []*proxy
	nodes   []*node
	faults  int
}

// any picks a process and a key: one of a few that all clients request, or a key of one of a thousand users.
func (c *chaosRun) any() (*node, key) {
	k := key{kind: kind(rand.IntN(int(plain))), route: rand.IntN(routes), id: rand.IntN(3)}
	if k.kind == user {
		k.user, k.id = rand.IntN(1000), 0
	}
	return c.nodes[rand.IntN(len(c.nodes))], k
}

// fail causes one fault after the other, with pauses in between.
func (c *chaosRun) fail(stop <-chan struct{}) {
	for !over(stop) && c.pause(rand.N(time.Second)) == nil {
		name, begin, end := c.one()
		c.logf("chaos: %s", name)
		if err := begin(); err != nil {
			c.logf("chaos: %s: %v", name, err)
		}
		c.faults++
		_ = c.pause(rand.N(time.Second))
		if err := end(); err != nil {
			c.logf("chaos: the end of %s: %v", name, err)
		}
	}
}

// one picks a fault of the connections to Redis, for one or more processes, or a fault of Redis itself.
func (c *chaosRun) one() (name string, begin, end func() error) {
	if rand.IntN(2) == 0 {
		m := mode(1 + rand.IntN(int(modes)-1))
		hit := c.proxies[:1+rand.IntN(len(c.proxies))]
		return m.String(), func() error { return setAll(hit, m) }, func() error { return setAll(hit, pass) }
	}
	all := append(c.redis.faults(c.proxies[0]),
		fault{"emptied", func() error { return c.redis.do("FLUSHALL") }, nothing},
		fault{"evicting", func() error { return c.redis.evict("allkeys-lru", "2mb") }, func() error { return c.redis.evict("noeviction", "0") }},
		fault{"other types", c.redis.retype, nothing},
	)
	f := all[rand.IntN(len(all))]
	return f.name, f.begin, f.end
}

func setAll(ps []*proxy, m mode) error {
	for _, p := range ps {
		p.late.Store(int64(rand.N(120 * time.Millisecond)))
		p.set(m)
	}
	return nil
}
