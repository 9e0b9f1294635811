package middleware_test

import "testing"

// What an answer's Cache-Control allows.
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
		{of: "DESIGN, rule 2: what is one user's leaves as private, public or not", only: perUser, script: `
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

// What is never served past its freshness.
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

// What is never kept, whatever the answer says.
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
