package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// herd asks one process for a key that it does not have, from 10,000 connections at once.
func herd(s *stage) ([]figure, error) {
	redis, err := s.redis()
	if err != nil {
		return nil, err
	}
	n, err := s.app(redis.url())
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

// herdOn opens all connections, sends a request on each and then reads the answers. It returns how many were not fine.
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
			if !fineOn(c, k) {
				mu.Lock()
				defer mu.Unlock()
				failed++
			}
		})
	}
	wg.Wait()
	return failed, nil
}

func fineOn(c net.Conn, k key) bool {
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
