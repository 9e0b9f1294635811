package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	handlerTakes = 100 * time.Millisecond
	clients      = 500 // of each process
)

// cold asks four processes for a key that none has, from 500 clients each at once, with and without a crash of the process
// whose handler runs.
func cold(s *stage) ([]figure, error) {
	redis, err := s.redis()
	if err != nil {
		return nil, err
	}
	nodes, err := s.apps(4, redis.url())
	if err != nil {
		return nil, err
	}
	s.board.takes(handlerTakes)
	s.rush(nodes, nth(plain, 0), clients, nil) // opens the connections
	var all rushes
	for i := range or(s, 20, 5) {
		for _, class := range []kind{fleet, user, hot} {
			all.add(s.rush(nodes, nth(class, i), clients, nil))
		}
	}
	for _, n := range nodes {
		c, _ := n.counts()
		s.logf("cold: %v, last %s", c.Events, c.Last)
		n.kill()
	}
	// On a busy machine a process may not reach Redis in time. Then it runs the handler without a lease, and once more for those
	// who come late, as it could keep nothing.
	slowest := 2 * len(nodes)
	figures := []figure{row(
		"4 processes × 500 clients, one cold key, handler 100 ms", "handler runs = 1", all.String(), all.within(1),
	).timed(all.within(slowest))}
	deaths, err := s.deaths(redis)
	return append(figures, deaths), err
}

// deaths is the same where the process that runs the handler dies.
func (s *stage) deaths(redis *server) (figure, error) {
	var all rushes
	for i := range or(s, 10, 3) {
		nodes, err := s.apps(4, redis.url())
		if err != nil {
			return figure{}, err
		}
		s.rush(nodes, nth(plain, 0), clients, nil)
		all.add(s.rush(nodes, nth(fleet, 1000+i), clients, s.killRunner))
		for _, n := range nodes {
			n.kill()
		}
	}
	return row(
		"the same, the process that runs the handler killed", "handler runs ≤ 2, all answered", all.String(), all.within(2),
	).timed(all.unanswered == 0), nil
}

// rushes are how often handlers ran in each round, and how many clients were not answered in all.
type rushes struct {
	runs       []int
	unanswered int
}

func (r *rushes) add(runs, unanswered int) {
	r.runs = append(r.runs, runs)
	r.unanswered += unanswered
}

func (r *rushes) within(most int) bool { return r.unanswered == 0 && slices.Max(r.runs) <= most }

func (r *rushes) String() string {
	rounds := map[int]int{}
	for _, n := range r.runs {
		rounds[n]++
	}
	var text []string
	for _, n := range slices.Sorted(maps.Keys(rounds)) {
		text = append(text, fmt.Sprintf("%d in %d rounds", n, rounds[n]))
	}
	return fmt.Sprintf("%s; %d unanswered", strings.Join(text, ", "), r.unanswered)
}

// rush asks every node for the key, from many clients at once, and returns how often handlers ran and how many clients
// were not answered. meanwhile may do something to the nodes. A client whose process dies asks the next, as a load
// balancer would.
func (s *stage) rush(nodes []*node, k key, clients int, meanwhile func([]*node, key)) (runs, unanswered int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range nodes {
		for range clients {
			wg.Go(func() {
				for try := range nodes {
					if a := s.ask(nodes[(i+try)%len(nodes)], k, time.Now()); a.fine() {
						return
					} else if try == 0 && meanwhile == nil {
						s.logf("cold: %v %v", a.status, a.err)
						break
					}
				}
				mu.Lock()
				defer mu.Unlock()
				unanswered++
			})
		}
	}
	if meanwhile != nil {
		meanwhile(nodes, k)
	}
	wg.Wait()
	runs = int(s.board.ran[k.slot()].Load())
	s.logf("cold: %s: %d runs", k.path(), runs)
	return runs, unanswered
}

// killRunner kills the process that runs the key's handler, half way.
func (s *stage) killRunner(nodes []*node, k key) {
	by := &s.board.by[k.slot()]
	if s.until("a handler runs", time.Second, func() bool { return by.Load() != 0 }) != nil {
		return
	}
	_ = s.pause(handlerTakes / 2)
	for _, n := range nodes {
		if n.id == by.Load() {
			n.kill()
		}
	}
}
