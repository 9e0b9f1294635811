package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	handlerTakes = 100 * time.Millisecond
	clients      = 500 // per process
)

// cold requests a key that none of four processes has, from 500 clients of each at once. Then it does the same and kills the
// process whose handler runs.
func cold(s *stage) ([]figure, error) {
	redis, err := s.redis()
	if err != nil {
		return nil, err
	}
	nodes, err := s.apps(4, redis.URL())
	if err != nil {
		return nil, err
	}
	s.board.takes(handlerTakes)
	s.rush(nodes, nth(plain, 0), nil) // opens the connections
	var all rushes
	for i := range or(s, 20, 5) {
		for _, class := range []kind{fleet, user, hot} {
			all.add(s.rush(nodes, nth(class, i), nil))
		}
	}
	for _, n := range nodes {
		c, _ := n.counts()
		s.logf("cold: %v, last %s", c.Events, c.Last)
		n.Kill()
	}
	// On a busy machine a process may not reach Redis in time. Then it runs the handler without a lease. It cannot store the
	// response either, so it runs the handler once more for clients that come late.
	slowest := 2 * len(nodes)
	figures := []figure{row(
		"4 processes × 500 clients, one cold key, handler 100 ms", "handler runs = 1", all.String(), all.within(1),
	).timed(all.within(slowest))}
	deaths, err := s.deaths(redis)
	return append(figures, deaths), err
}

// deaths does the same and kills the process that runs the handler.
func (s *stage) deaths(redis *server) (figure, error) {
	var all rushes
	for i := range or(s, 10, 3) {
		nodes, err := s.apps(4, redis.URL())
		if err != nil {
			return figure{}, err
		}
		s.rush(nodes, nth(plain, 0), nil)
		all.add(s.rush(nodes, nth(fleet, 1000+i), s.killRunner))
		for _, n := range nodes {
			n.Kill()
		}
	}
	return row(
		"the same, the process that runs the handler killed", "handler runs ≤ 2, all answered", all.String(), all.within(2),
	).timed(all.unanswered == 0), nil
}

// rushes count the handler runs of each round, and over all rounds the clients that got no response.
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

// rush requests the key from every node, from many clients at once. It returns how often handlers ran and how many clients
// got no response. meanwhile, if it is not nil, runs during the requests. Then a client whose process dies tries the next one,
// as a load balancer would.
func (s *stage) rush(nodes []*node, k key, meanwhile func([]*node, key)) (runs, unanswered int) {
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

// killRunner kills the process that runs the key's handler, halfway through that run.
func (s *stage) killRunner(nodes []*node, k key) {
	by := &s.board.by[k.slot()]
	if s.until("a handler runs", time.Second, func() bool { return by.Load() != 0 }) != nil {
		return
	}
	_ = s.pause(handlerTakes / 2)
	for _, n := range nodes {
		if n.id == by.Load() {
			n.Kill()
		}
	}
}

// herd requests a key that one process does not have, from 10,000 connections at once.
func herd(s *stage) ([]figure, error) {
	redis, err := s.redis()
	if err != nil {
		return nil, err
	}
	n, err := s.app(redis.URL())
	if err != nil {
		return nil, err
	}
	s.board.takes(time.Second)
	const clients = 10_000
	var got []string
	holds := true
	for _, class := range or(s, []kind{global, fleet, user, hot}, []kind{global, fleet}) {
		k := nth(class, 1)
		begun := time.Now()
		failed, err := herdOn(n, k, clients)
		if err != nil {
			return nil, err
		}
		runs := s.board.ran[k.slot()].Load()
		got = append(got, fmt.Sprintf("%s %d, %d failed", class, runs, failed))
		holds = holds && runs == 1 && failed == 0
		s.logf("herd: %s: %v", class, time.Since(begun))
	}
	return []figure{row("10,000 concurrent cold clients on one process", "handler runs = 1; nobody fails", strings.Join(got, "; "), holds)}, nil
}

// herdOn opens all connections, sends a request on each and then reads the responses. It returns how many of them were missing
// or wrong.
func herdOn(n *node, k key, clients int) (failed int, err error) {
	conns := make([]net.Conn, 0, clients)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	host := strings.TrimPrefix(n.base, "http://")
	for range clients {
		c, err := net.DialTimeout("tcp", host, 5*time.Second)
		if err != nil {
			return 0, err
		}
		conns = append(conns, c)
	}
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUser: %s\r\n\r\n", k.path(), site, k.owner())
	var wg sync.WaitGroup
	var mu sync.Mutex
	sent := time.Now()
	for _, c := range conns {
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.WriteString(c, request); err != nil {
			return 0, err
		}
	}
	if took := time.Since(sent); took > time.Second {
		return 0, fmt.Errorf("sending the requests took %v, longer than the handler", took)
	}
	for _, c := range conns {
		wg.Go(func() {
			if !answeredOn(c, k) {
				mu.Lock()
				defer mu.Unlock()
				failed++
			}
		})
	}
	wg.Wait()
	return failed, nil
}

func answeredOn(c net.Conn, k key) bool {
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return false
	}
	a, err := parse(string(body))
	return err == nil && a.is(k)
}
