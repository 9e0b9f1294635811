package main

import (
	"fmt"
	"sync"
	"time"
)

const handlerTakes = 100 * time.Millisecond

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
	rounds := or(s, 20, 5)
	var most, missing int
	for _, class := range []kind{fleet, user, hot} {
		for i := range rounds {
			runs, unanswered := s.rush(nodes, nth(class, i), 500, nil)
			most, missing = max(most, runs), missing+unanswered
		}
	}
	figures := []figure{{
		"4 processes × 500 clients, one cold key, handler 100 ms", "handler runs = 1",
		fmt.Sprintf("at most %d in %d rounds; %d unanswered", most, 3*rounds, missing), most == 1 && missing == 0,
	}}
	most, missing = 0, 0
	rounds = or(s, 10, 3)
	for i := range rounds {
		if nodes, err = s.apps(4, redis.url()); err != nil {
			return figures, err
		}
		runs, unanswered := s.rush(nodes, nth(fleet, 1000+i), 500, s.killRunner)
		most, missing = max(most, runs), missing+unanswered
		for _, n := range nodes {
			n.kill()
		}
	}
	return append(figures, figure{
		"the same, the process that runs the handler killed", "handler runs ≤ 2, all answered",
		fmt.Sprintf("at most %d in %d rounds; %d unanswered", most, rounds, missing), most <= 2 && missing == 0,
	}), nil
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
	return int(s.board.ran[k.slot()].Load()), unanswered
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
