package middleware_test

import (
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// How long an answer is fresh, and how old it is.
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
