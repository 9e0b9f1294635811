package middleware_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/store/redisstore"
)

// hung dials a Redis that takes what it is sent, and never answers.
func hung(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, server) }()
	return client, ctx.Err()
}

// An unsafe request is held up by a Redis that hangs for a budget at most, like any other, and not at all while that
// is given a rest: however many there are, of whatever kind. What they change is forgotten here at once.
func TestUnsafeRequestsDoNotWaitForARedisThatRests(t *testing.T) {
	const budget = 50 * time.Millisecond
	run(t, func(t *testing.T, s *site) {
		options := &redis.Options{Addr: "127.0.0.1:1", Dialer: hung}
		options.ContextTimeoutEnabled, options.MaxRetries, options.DialerRetries = true, -1, 1
		options.DialTimeout, options.PoolTimeout = 2*budget, budget
		options.ReadTimeout, options.WriteTimeout = budget, budget
		client := redis.NewClient(options)
		t.Cleanup(func() { _ = client.Close() })
		far, err := redisstore.New(client, redisstore.Options{Prefix: "larder"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = far.Close() })
		s.options.Far = far
		policy := cache.Policy{RFC9111: true, TTL: time.Hour}
		s.handle("/items/{id}", policy, public(text("item")))
		s.handle("/groups/{id}", policy, public(setting(`Cache-Group-Invalidation: "g"`)))
		s.handle("/users/{id}", policy, public(setting(`Clear-Site-Data: "cache"`)))
		took := func(method, target string) time.Duration {
			start := time.Now()
			wantStatus(t, s.do(method, target), http.StatusOK)
			return time.Since(start)
		}
		for i := range 10 {
			if d := took("POST", fmt.Sprint("/items/", i)); d > budget || i >= 5 && d > 0 {
				t.Errorf("POST %d took %v", i, d)
			}
		}
		for i := range 300 { // more than are written one by one
			for _, target := range []string{"/items/", "/groups/", "/users/"} {
				if d := took("POST", fmt.Sprint(target, i)); d > 0 {
					t.Fatalf("POST %s%d took %v of a Redis that rests", target, i, d)
				}
			}
		}
		time.Sleep(time.Second) // the rest is over: one request asks again, and no other waits for that
		times := make(chan time.Duration, 20)
		for i := range cap(times) {
			go func() { times <- took("POST", fmt.Sprint("/items/", i)) }()
		}
		waited := 0
		for range cap(times) {
			if d := <-times; d > budget {
				t.Errorf("a POST beside the probe took %v", d)
			} else if d > 0 {
				waited++
			}
		}
		if waited > 1 {
			t.Errorf("%d POSTs waited; want the one that asks whether Redis is well again", waited)
		}
	}, inRedis...)
}
