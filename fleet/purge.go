package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// purges purges on one process and reads on three others, while slow handlers still work with old data.
func purges(s *stage) ([]figure, error) {
	redis, err := s.redis()
	if err != nil {
		return nil, err
	}
	nodes, err := s.apps(4, redis.URL(), "-ttl", "20s")
	if err != nil {
		return nil, err
	}
	a := agreement{kinds: []kind{fleet, user}, workers: 12, slow: 4 * time.Millisecond}
	a.play(s, nodes, or(s, 100_000, 2_000), func() bool { return true })
	return []figure{row(
		"purge on one process, read on 3 others, with racing slow handlers", "Redis classes: 0 stale reads after the purge returned",
		a.String(), a.afterPurge.Load() == 0 && a.failed.Load() == 0 && a.acknowledged.Load() > a.rounds.Load()*9/10,
	)}, s.Err()
}

// An agreement is many rounds of a write and a purge on one process, and reads on the others.
type agreement struct {
	kinds   []kind
	workers int
	slow    time.Duration // how long handlers take

	rounds       atomic.Int64
	acknowledged atomic.Int64 // purges that returned nil
	reads        atomic.Int64
	failed       atomic.Int64            // reads that were not fine
	afterPurge   atomic.Int64            // reads that got an old response after the purge had returned nil
	oldest       atomic.Int64            // the longest that a version had been out of date when it was read, in nanoseconds
	lastRefused  atomic.Pointer[refusal] // the last purge that returned an error: it did not reach Redis
}

type refusal struct {
	at  time.Time
	err error
}

// play plays the given number of rounds, or fewer if more returns false. The first node purges, the others read.
func (a *agreement) play(s *stage, nodes []*node, rounds int, more func() bool) {
	s.board.takes(a.slow)
	first := int(a.rounds.Load())
	var next atomic.Int64
	var wg sync.WaitGroup
	for range a.workers {
		wg.Go(func() {
			for s.Err() == nil && more() {
				i := int(next.Add(1)) - 1
				if i >= rounds {
					return
				}
				a.round(s, nodes, first+i)
				a.rounds.Add(1)
			}
		})
	}
	wg.Wait()
}

// round is the race that a purge must not lose:
//
//  1. Every key is requested from every node. A handler that runs reads the old version, and then sleeps.
//  2. Meanwhile the data change, and the first node purges the keys.
//  3. The keys are read on the other nodes. Once the purge has returned nil, they must not answer with the old version.
//  4. The slow handlers of step 1 end. They return the old version, which must not replace the new one.
//  5. The keys are read on the other nodes once more.
func (a *agreement) round(s *stage, nodes []*node, i int) {
	var keys []key
	for _, k := range a.kinds {
		keys = append(keys, nth(k, i%(routes*ids)))
	}
	var racers sync.WaitGroup
	for _, k := range keys {
		for _, n := range nodes {
			racers.Go(func() { s.ask(n, k, time.Now()) })
		}
	}
	_ = s.pause(rand.N(a.slow + 1))
	var versions []uint64
	for _, k := range keys {
		versions = append(versions, s.write(k))
	}
	err := nodes[0].purge(keys...)
	if err == nil {
		a.acknowledged.Add(1)
	} else {
		a.lastRefused.Store(&refusal{time.Now(), err})
	}
	a.read(s, nodes[1:], keys, versions, err == nil)
	racers.Wait()
	a.read(s, nodes[1:], keys, versions, err == nil)
}

// read reads the keys on all nodes at once.
func (a *agreement) read(s *stage, nodes []*node, keys []key, versions []uint64, acknowledged bool) {
	var wg sync.WaitGroup
	for i, k := range keys {
		for _, n := range nodes {
			wg.Go(func() {
				begun := time.Now()
				got := s.ask(n, k, begun)
				a.reads.Add(1)
				switch {
				case !got.fine():
					a.failed.Add(1)
					s.logf("agree: %s: status %d, %v", k.path(), got.status, got.err)
				case got.answer.version < versions[i]:
					raise(&a.oldest, s.stale(k, got.answer.version, begun))
					if acknowledged {
						a.afterPurge.Add(1)
						s.logf("agree: %s: version %d after %d was written", k.path(), got.answer.version, versions[i])
					}
				}
			})
		}
	}
	wg.Wait()
}

// raise makes the value at least d.
func raise(v *atomic.Int64, d time.Duration) {
	for {
		old := v.Load()
		if old >= int64(d) || v.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

func (a *agreement) String() string {
	text := fmt.Sprintf("%d stale of %d reads in %d rounds", a.afterPurge.Load(), a.reads.Load(), a.rounds.Load())
	if refused := a.rounds.Load() - a.acknowledged.Load(); refused > 0 {
		text += fmt.Sprintf(", %d purges not told to Redis", refused)
	}
	if n := a.failed.Load(); n > 0 {
		text += fmt.Sprintf(", %d reads failed", n)
	}
	return text
}

const nearTTL = time.Second

// near measures how long copies in the memory of other processes outlive a purge. Only hot-shared routes are requested,
// because a read of Redis for another class would also tell the process of the purge.
func near(s *stage) ([]figure, error) {
	redis, err := s.redis()
	if err != nil {
		return nil, err
	}
	p, err := s.proxy(redis.Addr())
	if err != nil {
		return nil, err
	}
	nodes, err := s.apps(3, redis.URL(), "-near", nearTTL.String())
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

// converge loads the keys into the memory of all nodes, writes, and purges on the first node. It returns how long after the
// purge the others still gave old responses. It requests the keys every millisecond.
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

// lag requests the key until the response is new. It returns how long after the purge it sent the last request that got an old
// response.
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

// cutOff measures the same on a process that the purge cannot reach.
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
		p.set(blackHole)
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
