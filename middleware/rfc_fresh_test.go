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

// How long a response is fresh, and how old it is.
func TestStandardFreshness(t *testing.T) {
	obey(t, []rule{
		{of: "RFC 9111 §4.2.1: s-maxage goes before all else in a shared cache", only: shared, script: `
			origin 200 | Cache-Control: max-age=1, s-maxage=10 | Expires: {-10s}
			GET => run #1
			+9s
			GET => hit #1 | Age: 9 | Cache-Control: max-age=1, s-maxage=10
			+1s
			GET => run #2`},
		{of: "RFC 9111 §5.2.2.10: s-maxage means nothing to a private cache", only: perUser, script: `
			origin 200 | Cache-Control: s-maxage=10, max-age=2
			GET => run #1
			+1s
			GET => hit #1 | Age: 1
			+1s
			GET => run #2`},
		{of: "RFC 9111 §4.2.1: max-age goes before Expires", script: `
			origin 200 | Cache-Control: max-age=10 | Expires: {+100s}
			GET => run #1
			+9999ms
			GET => hit #1 | Age: 9
			+1ms
			GET => run #2`},
		{of: "RFC 9111 §5.3: max-age goes before an Expires in the past", script: `
			origin 200 | Cache-Control: max-age=10 | Expires: 0
			GET => run #1
			+9s
			GET => hit #1
			+1s
			GET => run #2`},
		{of: "RFC 9111 §4.2.1: Expires counts from Date", script: `
			origin 200 | Date: {-100s} | Expires: {-90s}
			GET => run #1
			GET => run #2
			origin 200 | Date: {-5s} | Expires: {+5s}
			GET => run #3
			+4s
			GET => hit #3 | Age: 9
			+1s
			GET => run #4`},
		{of: "RFC 9111 §4.2.1: Expires and Date of an origin whose clock is ahead", script: `
			origin 200 | Date: {+1h} | Expires: {+1h10s}
			GET => run #1
			+9s
			GET => hit #1 | Age: 9
			+1s
			GET => run #2`},
		{of: "RFC 9111 §5.3: an Expires without Date counts from arrival", script: `
			origin 200 | Expires: {+10s}
			GET => run #1
			+9s
			GET => hit #1
			+1s
			GET => run #2`},
		{of: "RFC 9111 §5.3: an invalid Expires is in the past", script: `
			origin 200 | Expires: 0
			GET => run #1
			GET => run #2
			origin 200 | Expires: -1 | Last-Modified: {-1000s}
			GET => run #3
			GET => run #4
			origin 200 | Expires: {+10s} | Expires: {+20s}
			GET => run #5
			GET => run #6`},
		{of: "RFC 9111 §4.2.2: a tenth of the time since Last-Modified", cookieless: true, script: `
			origin 200 | Last-Modified: {-100s}
			GET => run #1
			+9s
			GET => hit #1 | Age: 9
			+1s
			GET => run #2 | saw If-Modified-Since: {-110s}`},
		{of: "RFC 9111 §4.2.2: up to Date, not to arrival", cookieless: true, script: `
			origin 200 | Last-Modified: {-104s} | Date: {-4s}
			GET => run #1
			+5s
			GET => hit #1 | Age: 9
			+1s
			GET => run #2`},
		{of: "RFC 9111 §4.2.2: no heuristic without anything to go by", script: `
			origin 200
			GET => run #1
			GET => run #2
			origin 200 | Last-Modified: {+100s}
			GET => run #3
			GET => run #4
			origin 200 | Last-Modified: yesterday
			GET => run #5
			GET => run #6`},
		{of: "RFC 9111 §4.2.2: no heuristic where there is an explicit time", script: `
			origin 200 | Cache-Control: max-age=1 | Last-Modified: {-100s}
			GET => run #1
			+1s
			GET => run #2`},
		{of: "RFC 9110 §15.1: statuses that are heuristically cacheable, and others", cookieless: true, script: `
			origin 404 | Last-Modified: {-100s}
			GET /404 => run 404 #1
			GET /404 => hit 404 #1
			origin 410 | Last-Modified: {-100s}
			GET /410 => run 410 #2
			GET /410 => hit 410 #2
			origin 204 | Last-Modified: {-100s}
			GET /204 => run 204
			GET /204 => hit 204 empty | Content-Length: -
			origin 302 | Last-Modified: {-100s} | Location: /
			GET /302 => run 302 #4
			GET /302 => run 302 #5
			origin 500 | Last-Modified: {-100s}
			GET /500 => run 500 #6
			GET /500 => run 500 #7
			origin 302 | Cache-Control: max-age=10 | Location: /elsewhere
			GET /302 => run 302 #8
			GET /302 => hit 302 #8 | Location: /elsewhere
			origin 503 | Cache-Control: max-age=10
			GET /503 => run 503 #9
			GET /503 => hit 503 #9
			origin 599 | Cache-Control: max-age=10
			GET /599 => run 599 #10
			GET /599 => hit 599 #10`},
		{of: "RFC 9111 §3: public alone makes a status storable by heuristic", script: `
			origin 302 | Cache-Control: public | Last-Modified: {-100s}
			GET => run 302 #1
			GET => hit 302 #1`, only: shared},
	})
}

func TestStandardAge(t *testing.T) {
	obey(t, []rule{
		{of: "RFC 9111 §4.2.3: Age on arrival counts, and grows", script: `
			origin 200 | Cache-Control: max-age=20 | Age: 10
			GET => run #1 | Age: 10
			GET => hit #1 | Age: 10
			+9s
			GET => hit #1 | Age: 19
			+1s
			GET => run #2`},
		{of: "RFC 9111 §4.2.3: the greater of Age and what Date says", script: `
			origin 200 | Cache-Control: max-age=20 | Age: 3 | Date: {-10s}
			GET => run #1
			GET => hit #1 | Age: 10 | Date: {-10s}
			+9s
			GET => hit #1 | Age: 19 | Date: {-19s}
			+1s
			GET => run #2`},
		{of: "RFC 9111 §4.2.3: a Date in the future is no negative age", script: `
			origin 200 | Cache-Control: max-age=10 | Date: {+100s}
			GET => run #1
			GET => hit #1 | Age: 0
			+9s
			GET => hit #1 | Age: 9
			+1s
			GET => run #2`},
		{of: "RFC 9111 §5.1: an answer that is too old on arrival is not fresh", script: `
			origin 200 | Cache-Control: max-age=10 | Age: 10
			GET => run #1
			GET => run #2
			origin 200 | Cache-Control: max-age=3600 | Age: 99999999999999999999
			GET => run #3
			GET => run #4`},
		{of: "no answer is fresh at the age of a year", script: `
			origin 200 | Cache-Control: max-age=99999999 | Age: 31535990
			GET => run #1
			+9s
			GET => hit #1 | Age: 31535999
			+1s
			GET => run #2
			origin 200 | Cache-Control: max-age=99999999 | Age: 31536001
			GET /older => run #3
			GET /older => run #4`},
		{of: "RFC 9111 §5.1: of several ages the first; what is none is none", script: `
			origin 200 | Cache-Control: max-age=10 | Age: 5, 0
			GET /list => run #1
			GET /list => hit #1 | Age: 5
			origin 200 | Cache-Control: max-age=10 | Age: -5
			GET /negative => run #2
			GET /negative => hit #2 | Age: 0
			origin 200 | Cache-Control: max-age=10 | Age: 5.5
			GET /fraction => run #3
			GET /fraction => hit #3 | Age: 0`},
		{of: "RFC 9110 §6.6.1: an answer without Date has one from its arrival on", script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+5s
			GET => hit #1 | Date: {-5s} | Age: 5`},
		{of: "RFC 9111 §4.2.3: a 304's own Age counts", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			+10s
			origin 304 | Cache-Control: max-age=10 | ETag: "a" | Age: 6
			GET => run #1 | Age: 6
			+3s
			GET => hit #1 | Age: 9
			+1s
			GET => run #1`},
	})
}

func TestStandardPolicyTTL(t *testing.T) {
	ttl := cache.Policy{RFC9111: true, StaleIfError: -1, TTL: 10 * time.Second}
	obey(t, []rule{
		{of: "the policy's TTL is that of answers that give none", policy: ttl, cookieless: true, script: `
			origin 200
			GET => run #1
			+9999ms
			GET => hit #1
			+1ms
			GET => run #2
			origin 302 | Location: /
			GET /302 => run 302 #3
			GET /302 => run 302 #4`},
		{of: "… and bounds those of others", policy: ttl, script: `
			origin 200 | Cache-Control: max-age=100
			GET => run #1
			+9999ms
			GET => hit #1
			+1ms
			GET => run #2`},
		{of: "… from their arrival on", policy: ttl, script: `
			origin 200 | Cache-Control: max-age=100 | Age: 50
			GET => run #1
			+9s
			GET => hit #1 | Age: 59
			+1s
			GET => run #2`},
		{of: "… and makes none of them longer", policy: ttl, script: `
			origin 200 | Cache-Control: max-age=2
			GET => run #1
			+2s
			GET => run #2
			+2s
			origin 200 | Expires: 0
			GET => run #3
			GET => run #4
			origin 200 | Cache-Control: max-age=x
			GET => run #5
			GET => run #6
			origin 200 | Cache-Control: no-cache
			GET => run #7
			GET => run #8`},
	})
}

// hung dials a Redis that accepts everything and never answers.
func hung(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, server) }()
	return client, ctx.Err()
}

// A Redis that hangs delays an unsafe request by the time budget at most, as any other request, and not at all while the circuit
// is open, however many and of whatever kind they are. They invalidate in this process at once.
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

// What a response's Cache-Control allows.
func TestStandardResponseDirectives(t *testing.T) {
	obey(t, []rule{
		{of: "RFC 9111 §5.2.2.5: no-store", script: `
			origin 200 | Cache-Control: no-store, max-age=10
			GET => run #1
			GET => run #2
			origin 200 | Cache-Control: max-age=10 | Cache-Control: NO-STORE
			GET => run #3
			GET => run #4`},
		{of: "RFC 9111 §5.2.2.7: private, in a shared cache", only: shared, script: `
			origin 200 | Cache-Control: private, max-age=10
			GET => run #1
			GET => run #2`},
		{of: "RFC 9111 §5.2.2.7: private, in a private cache", only: perUser, script: `
			origin 200 | Cache-Control: private, max-age=10
			GET => run #1
			GET => hit #1 | Cache-Control: private, max-age=10
			GET | as bob => run #2
			GET | as bob => hit #2`},
		{of: "what is one user's leaves as private, public or not", only: perUser, script: `
			origin 200 | Cache-Control: public, s-maxage=10, max-age=10
			GET => run #1 | Cache-Control: private, max-age=10
			GET => hit #1 | Cache-Control: private, max-age=10
			GET | as bob => run #2 | Cache-Control: private, max-age=10`},
		{of: "RFC 9213 §2: nor does a targeted field make it another's", only: perUser, script: `
			origin 200 | Cache-Control: max-age=10 | CDN-Cache-Control: max-age=600 | ETag: "a"
			GET => run #1 | CDN-Cache-Control: -
			GET => hit #1 | CDN-Cache-Control: -
			+10s
			origin 304 | Cache-Control: max-age=10 | CDN-Cache-Control: max-age=600 | ETag: "a"
			GET => run #1 | CDN-Cache-Control: -
			GET => hit #1 | CDN-Cache-Control: -
			HEAD => hit empty | CDN-Cache-Control: -`},
		{of: "RFC 9111 §5.2.2.7: private with field names, in a shared cache", only: shared, script: `
			origin 200 | Cache-Control: max-age=10, private="x-Own, X-Mine" | X-Own: a | X-Mine: b | X-All: c
			GET => run #1 | X-Own: a | X-Mine: b
			GET => hit #1 | X-Own: - | X-Mine: - | X-All: c`},
		{of: "RFC 9111 §5.2.2.7: private with field names, in a private cache", only: perUser, script: `
			origin 200 | Cache-Control: max-age=10, private="X-Own" | X-Own: a
			GET => run #1 | X-Own: a
			GET => hit #1 | X-Own: a`},
		{of: "RFC 9111 §5.2.2.4: no-cache is validated before each use", script: `
			origin 200 | Cache-Control: no-cache, max-age=10 | ETag: "a"
			GET => run #1
			origin 304 | ETag: "a"
			GET => run #1 | saw If-None-Match: "a"
			GET => run #1 | saw If-None-Match: "a"`},
		{of: "RFC 9111 §5.2.2.4: no-cache without a validator", script: `
			origin 200 | Cache-Control: no-cache, max-age=10
			GET => run #1
			GET => run #2 | saw If-None-Match: - | saw If-Modified-Since: -`},
		{of: "RFC 9111 §5.2.2.4: no-cache with field names", script: `
			origin 200 | Cache-Control: max-age=10, no-cache="X-Own" | X-Own: a | X-All: b
			GET => run #1 | X-Own: a
			GET => hit #1 | X-Own: - | X-All: b`},
		{of: "RFC 9111 §5.2.2.4: no-cache with field names, on a validation", script: `
			origin 200 | Cache-Control: max-age=10 | X-Own: a | X-All: b | ETag: "a"
			GET => run #1
			GET => hit #1 | X-Own: a
			+10s
			origin 304 | Cache-Control: max-age=10, no-cache="X-Own" | ETag: "a"
			GET => run #1 | X-All: b
			GET => hit #1 | X-Own: - | X-All: b
			+10s
			origin 304 | Cache-Control: max-age=10, no-cache="X-Own" | ETag: "a" | X-Own: c
			GET => run #1
			GET => hit #1 | X-Own: - | X-All: b`},
		{of: "RFC 9111 §5.2: what cannot be parsed may be anything", script: `
			origin 200 | Cache-Control: max-age=10, "
			GET => run #1
			GET => run #2
			origin 200 | Cache-Control: max-age=10, private="
			GET => run #3
			GET => run #4
			origin 200 | Cache-Control: max-age = 10
			GET => run #5
			GET => run #6`},
		{of: "RFC 9111 §4.2.1: of two times the shorter", script: `
			origin 200 | Cache-Control: max-age=10, max-age=5
			GET => run #1
			+4s
			GET => hit #1
			+1s
			GET => run #2
			origin 200 | Cache-Control: max-age=10, max-age=x
			GET /none => run #3
			GET /none => run #4`},
		{of: "RFC 9111 §5.2.3: unknown directives, and those in quotes, are let pass", script: `
			origin 200 | Cache-Control: community="UCI, no-store", max-age="10", immutable, X=y
			GET => run #1
			GET => hit #1 | Cache-Control: ~community="UCI, no-store"`},
		{of: "RFC 9111 §5.2.2.3: must-understand goes before no-store", only: shared, script: `
			origin 200 | Cache-Control: must-understand, no-store, max-age=10
			GET => run #1
			GET => hit #1
			origin 299 | Cache-Control: must-understand, no-store, max-age=10
			GET /299 => run 299 #2
			GET /299 => run 299 #3
			origin 299 | Cache-Control: must-understand, max-age=10
			GET /299 => run 299 #4
			GET /299 => run 299 #5
			origin 299 | Cache-Control: max-age=10
			GET /299 => run 299 #6
			GET /299 => hit 299 #6`},
	})
}

// Responses that are never served stale.
func TestStandardNeverStale(t *testing.T) {
	lenient := standardPolicy
	lenient.StaleIfError, lenient.StaleWhileRevalidate = 1e12, 1e12
	obey(t, []rule{
		{of: "RFC 5861: what says nothing may be", policy: lenient, script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			+10s
			GET => run #1
			GET => hit #2`},
		{of: "RFC 9111 §5.2.2.2: must-revalidate", policy: lenient, script: `
			origin 200 | Cache-Control: max-age=10, must-revalidate, stale-if-error=60, stale-while-revalidate=60 | ETag: "a"
			GET => run #1
			+10s
			origin 500
			GET => run 500 #2
			GET | Cache-Control: max-stale => run 500 #3
			origin 200
			GET => run #4`},
		{of: "RFC 9111 §5.2.2.8: proxy-revalidate, in a shared cache", policy: lenient, only: shared, script: `
			origin 200 | Cache-Control: max-age=10, proxy-revalidate | ETag: "a"
			GET => run #1
			+10s
			origin 500
			GET => run 500 #2
			GET | Cache-Control: max-stale => run 500 #3`},
		{of: "RFC 9111 §5.2.2.8: proxy-revalidate, in a private cache", policy: lenient, only: perUser, script: `
			origin 200 | Cache-Control: max-age=10, proxy-revalidate
			GET => run #1
			+10s
			origin 500
			GET => run #1`},
		{of: "RFC 9111 §5.2.2.10: s-maxage", policy: lenient, only: shared, script: `
			origin 200 | Cache-Control: s-maxage=10 | ETag: "a"
			GET => run #1
			+10s
			origin 500
			GET => run 500 #2
			GET | Cache-Control: max-stale => run 500 #3`},
		{of: "RFC 9111 §5.2.2.4: no-cache", policy: lenient, script: `
			origin 200 | Cache-Control: no-cache, max-age=10 | ETag: "a"
			GET => run #1
			origin 500
			GET => run 500 #2
			GET | Cache-Control: max-stale => run 500 #3`},
	})
}

// Responses that are never stored, whatever they say.
func TestStandardNeverKept(t *testing.T) {
	obey(t, []rule{
		{of: "a cookie is one client's", script: `
			origin 200 | Cache-Control: public, max-age=10 | Set-Cookie: a=b
			GET => run #1 | Set-Cookie: a=b
			GET => run #2
			origin 200 | Cache-Control: public, max-age=10, no-cache="Set-Cookie" | Set-Cookie: a=b
			GET => run #3
			GET | as bob => run #4`},
		{of: "RFC 9110 §6.5: a trailer comes too late", script: `
			origin 200 | Cache-Control: max-age=10 | Trailer: X-Sum
			GET => run #1
			GET => run #2`},
		{of: "a nonce is one response's", only: shared, script: `
			origin 200 | Cache-Control: max-age=10 | Content-Security-Policy: script-src 'nonce-abc'
			GET => run #1
			GET => run #2`},
		{of: "an origin that is reflected is one client's, or Vary says so", only: shared, script: `
			origin 200 | Cache-Control: max-age=10 | Access-Control-Allow-Origin: https://a.example
			GET | Origin: https://a.example => run #1
			GET | Origin: https://a.example => run #2
			GET | Origin: https://b.example => run #3
			GET | Origin: https://b.example => hit #3
			origin 200 | Cache-Control: max-age=10 | Access-Control-Allow-Origin: https://a.example | Vary: Origin
			GET /vary | Origin: https://a.example => run #4
			GET /vary | Origin: https://a.example => hit #4
			GET /vary | Origin: https://b.example => run #5
			origin 200 | Cache-Control: max-age=10 | Access-Control-Allow-Origin: *
			GET /all | Origin: https://a.example => run #6
			GET /all | Origin: https://b.example => hit #6`},
		{of: "a trailer comes too late", script: `
			origin 200 | Cache-Control: max-age=10 | Trailer: X-Sum
			GET => run #1
			GET => run #2`},
	})
}

// Authorization: RFC 9111 §3.5.
func TestStandardAuthorization(t *testing.T) {
	const with = " | Authorization: Basic YTpi"
	obey(t, []rule{
		{of: "RFC 9111 §3.5: not stored without leave", only: shared, script: `
			origin 200 | Cache-Control: max-age=10
			GET` + with + ` => run #1 | saw Authorization: Basic YTpi
			GET` + with + ` => run #2
			GET => run #3
			GET => hit #3
			GET` + with + ` => run #4`},
		{of: "RFC 9111 §3.5: public", only: shared, script: `
			origin 200 | Cache-Control: public, max-age=10
			GET` + with + ` => run #1
			GET => hit #1
			GET` + with + ` => hit #1`},
		{of: "RFC 9111 §3.5: s-maxage", only: shared, script: `
			origin 200 | Cache-Control: s-maxage=10
			GET` + with + ` => run #1
			GET` + with + ` => hit #1`},
		{of: "RFC 9111 §3.5: must-revalidate", only: shared, script: `
			origin 200 | Cache-Control: must-revalidate, max-age=10
			GET` + with + ` => run #1
			GET` + with + ` => hit #1
			GET => hit #1`},
		{of: "RFC 9111 §3.5: what was stored without is validated for it, and stays what it is", only: shared, script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			origin 304 | Cache-Control: max-age=10 | ETag: "a" | X-Own: secret
			GET` + with + ` => run #1 | X-Own: secret
			GET => hit #1 | X-Own: -`},
		{of: "RFC 9111 §3.5: it means nothing to a private cache", only: perUser, script: `
			origin 200 | Cache-Control: max-age=10
			GET` + with + ` => run #1
			GET` + with + ` => hit #1`},
	})
}
