package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

const (
	outageRate    = 2000                 // requests a second, over both processes
	outageHandler = 5 * time.Millisecond // how long handlers take
)

// outage has Redis fail in five ways under load.
func outage(s *stage) ([]figure, error) {
	redis, err := s.redis()
	if err != nil {
		return nil, err
	}
	p, err := s.proxy(redis.Addr())
	if err != nil {
		return nil, err
	}
	direct, err := s.apps(2, redis.URL(), "-near", "1s")
	if err != nil {
		return nil, err
	}
	s.board.takes(outageHandler)
	var figures []figure
	var back []string
	recovered := true
	for i, f := range redis.faults(p) {
		nodes := direct
		if f.name == blackHole.String() { // only this fault needs the proxy
			if nodes, err = s.apps(2, p.url(), "-near", "1s"); err != nil {
				return figures, err
			}
		}
		o := outageRun{stage: s, fault: f, nodes: nodes, fresh: 6000 * i}
		if err := o.play(); err != nil {
			return figures, fmt.Errorf("%s: %w", f.name, err)
		}
		figures = append(figures, o.figure())
		text, ok := o.recovery()
		back = append(back, f.name+" "+text)
		recovered = recovered && ok
	}
	return append(figures, row(
		"recovery after each fault", "hit ratio ≥ 95 % of before within 5 s", strings.Join(back, "; "), recovered,
	).timed(true)), nil
}

// outageRun is load on the nodes before, during and after a fault.
type outageRun struct {
	*stage
	fault
	nodes []*node
	fresh int // counts new keys, so that none comes twice

	all          []asked
	began, ended time.Time
	opened       map[*node]time.Time // when the node's circuit first opened; zero if it did not
}

func (o *outageRun) play() error {
	before, during, after := o.phases()
	for _, n := range o.nodes { // warm up
		for _, a := range o.openLoop(outageRate, time.Second/2, func(i int) (*node, key) { return n, everyKey(i) }) {
			if !a.fine() {
				return fmt.Errorf("before the fault: status %d, %w", a.status, a.err)
			}
		}
		if err := n.reset(); err != nil {
			return err
		}
	}
	failed := make(chan error, 1)
	go func() { failed <- o.fail(before, during) }()
	o.all = o.openLoop(outageRate, before+during+after, o.pick)
	if err := <-failed; err != nil {
		return err
	}
	o.opened = map[*node]time.Time{}
	for _, n := range o.nodes {
		c, err := n.counts()
		if err != nil {
			return err
		}
		o.opened[n] = c.Opened
		o.logf("outage: %s: %v, last %s", o.name, c.Events, c.Last)
	}
	return nil
}

func (o *outageRun) phases() (before, during, after time.Duration) {
	return or(o.stage, 10*time.Second, 2*time.Second), or(o.stage, 10*time.Second, 3*time.Second), or(o.stage, 8*time.Second, 2500*time.Millisecond)
}

// fail begins the fault after some time, and ends it after some more.
func (o *outageRun) fail(before, during time.Duration) error {
	if err := o.pause(before); err != nil {
		return err
	}
	o.began = time.Now()
	err := o.begin()
	paused := o.pause(during)
	if err2 := o.end(); err == nil {
		err = err2
	}
	o.ended = time.Now()
	if err == nil {
		err = paused
	}
	return err
}

// pick returns a warm key, or a new one for one request in twenty, so that there is always something to store.
func (o *outageRun) pick(i int) (*node, key) {
	n := o.nodes[i%len(o.nodes)]
	if rand.IntN(20) > 0 {
		return n, everyKey(rand.IntN(outageKeys))
	}
	o.fresh++
	return n, key{kind: fleet, route: 20 + o.fresh%30, id: o.fresh / 30 % ids}
}

const outageKeys = 1000

// everyKey spreads 1,000 keys over the kinds: 700 in Redis, 150 only in memory, 150 without a cache.
func everyKey(i int) key {
	i %= outageKeys
	switch n := i / 20; i % 20 {
	case 0, 1, 2, 3, 4, 5:
		return key{kind: user, route: i % 20, id: n, user: n}
	case 6, 7, 8, 9:
		return key{kind: fleet, route: i % 20, id: n}
	case 10, 11, 12, 13:
		return key{kind: hot, route: i % 20, id: n}
	case 14, 15, 16:
		return key{kind: global, route: i % 20, id: n}
	default:
		return key{kind: plain, route: i % 20, id: n}
	}
}

// tooBusy is the most that the p99 of responses that need no Redis may be. Above it, latencies say more about the machine than
// about the cache.
const tooBusy = 10 * time.Millisecond

// figure compares cached routes with uncached ones in the same seconds, so that both have the machine's own noise.
func (o *outageRun) figure() figure {
	unanswered, errors5xx, wrong := o.bad()
	early := o.added(func(a *asked) bool { return o.during(a) && !o.circuitOpen(a) })
	late := o.added(func(a *asked) bool { return o.during(a) && o.circuitOpen(a) })
	was := percentile(latencies(o.all, func(a *asked) bool { return a.key.kind == global && a.at.Before(o.began) }), 0.99)
	is := percentile(latencies(o.all, func(a *asked) bool { return a.key.kind == global && o.during(a) }), 0.99)
	same := is <= was+max(was/10, time.Millisecond)
	answered := unanswered+errors5xx+wrong == 0
	noise := ""
	if answered && max(was, o.bare()-outageHandler) > tooBusy {
		noise = "the machine was busy with something else"
	}
	return figure{
		noise: noise,
		speed: answered,
		what:  fmt.Sprintf("2,000 req/s open loop, Redis %s for %v", o.name, o.ended.Sub(o.began).Round(100*time.Millisecond)),
		must:  "100 % answered, 0 5xx, p99 added ≤ 50 ms before the breaker opens, ≤ 1 ms after; shared-global p99 unchanged",
		got: fmt.Sprintf("%d of %d unanswered, %d 5xx, %d wrong; added %v before, %v after, to %s; shared-global %s → %s",
			unanswered, len(o.all), errors5xx, wrong, early, late, ms(o.bare()), ms(was), ms(is)),
		holds: answered && early.d <= 50*time.Millisecond && late.d <= time.Millisecond && same,
	}
}

// bad counts the requests that got no response, a 5xx, or any other response that is not their own 200.
func (o *outageRun) bad() (unanswered, errors5xx, wrong int) {
	for i := range o.all {
		switch a := &o.all[i]; {
		case a.err != nil:
			unanswered++
		case a.status >= http.StatusInternalServerError:
			errors5xx++
		case !a.fine():
			wrong++
		}
	}
	return unanswered, errors5xx, wrong
}

func (o *outageRun) during(a *asked) bool { return a.at.After(o.began) && a.at.Before(o.ended) }

// secondBreaker is how long after the circuit for reads the circuit for writes may open. Writes have their own breaker and
// their own time budget, and are only tried once reads no longer wait.
const secondBreaker = 200 * time.Millisecond

// circuitOpen reports whether the process' circuits were open when the request was due.
func (o *outageRun) circuitOpen(a *asked) bool {
	opened := o.opened[a.node]
	return !opened.IsZero() && a.at.After(opened.Add(secondBreaker))
}

// added is by how much the p99 of n requests exceeds that of the handlers without a cache.
type added struct {
	d time.Duration
	n int
}

func (a added) String() string {
	if a.n == 0 {
		return "(no requests)"
	}
	return fmt.Sprintf("%s (n=%d)", ms(a.d), a.n)
}

func (o *outageRun) added(match func(*asked) bool) added {
	far := latencies(o.all, func(a *asked) bool { return a.key.kind.far() && match(a) })
	if len(far) == 0 {
		return added{}
	}
	return added{max(0, percentile(far, 0.99)-o.bare()), len(far)}
}

// bare is the p99 of the handlers without a cache, during the fault.
func (o *outageRun) bare() time.Duration {
	return percentile(latencies(o.all, func(a *asked) bool { return a.key.kind == plain && o.during(a) }), 0.99)
}

// recovery returns how long after the fault the hit ratio of the Redis classes was good again over half a second.
func (o *outageRun) recovery() (string, bool) {
	const window = 500 * time.Millisecond
	before := o.hitRatio(o.all[0].at, o.began)
	for since := time.Duration(0); since <= 5*time.Second-window; since += window / 5 {
		from := o.ended.Add(since)
		if now := o.hitRatio(from, from.Add(window)); now >= 0.95*before {
			return fmt.Sprintf("%.1f s (%.0f %% of %.0f %%)", (since + window).Seconds(), 100*now, 100*before), true
		}
	}
	end := o.all[len(o.all)-1].at
	now := o.hitRatio(end.Add(-window), end)
	return fmt.Sprintf("not yet (%.0f %% of %.0f %%)", 100*now, 100*before), false
}

func (o *outageRun) hitRatio(from, to time.Time) float64 {
	var hits, all int
	for i := range o.all {
		if a := &o.all[i]; a.key.kind.far() && a.at.After(from) && a.at.Before(to) {
			all++
			if a.hit {
				hits++
			}
		}
	}
	return float64(hits) / float64(max(all, 1))
}
