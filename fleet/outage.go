package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// How many requests come in a second over all processes, of which there are two, and how long handlers take.
const (
	outageRate    = 2000
	outageHandler = 5 * time.Millisecond // takes
)

// outage has Redis fail in five ways under load.
func outage(s *stage) ([]figure, error) {
	redis, err := s.redis()
	if err != nil {
		return nil, err
	}
	p, err := s.proxy(redis.addr())
	if err != nil {
		return nil, err
	}
	direct, err := s.apps(2, redis.url(), "-near", "1s")
	if err != nil {
		return nil, err
	}
	s.board.takes(outageHandler)
	var figures []figure
	var back []string
	recovered := true
	for i, f := range redis.faults(p) {
		nodes := direct
		if f.name == hole.String() { // behind the proxy, which the other faults do without
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
	fresh int // how many keys were new

	all          []asked
	began, ended time.Time
	opened       map[*node]time.Time // when the breaker first gave Redis a rest; not at all: zero
}

func (o *outageRun) play() error {
	before, during, after := o.phases()
	for _, n := range o.nodes { // warm
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

// fail begins the fault and ends it.
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

// pick is one of the warm keys, or a new one in one of twenty cases, so that there is always something to write.
func (o *outageRun) pick(i int) (*node, key) {
	n := o.nodes[i%len(o.nodes)]
	if rand.IntN(20) > 0 {
		return n, everyKey(rand.IntN(outageKeys))
	}
	o.fresh++
	return n, key{kind: fleet, route: 20 + o.fresh%30, id: o.fresh / 30 % ids}
}

const outageKeys = 1000

// everyKey spreads 1,000 keys over the kinds: 700 in Redis, 150 in memory alone, 150 without a cache.
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
