package middleware_test

import (
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// What a request's Cache-Control wants.
func TestStandardRequestDirectives(t *testing.T) {
	patient := cache.Policy{RFC9111: true, StaleIfError: time.Hour}
	swr := cache.Policy{RFC9111: true, StaleIfError: -1, StaleWhileRevalidate: time.Hour}
	obey(t, []rule{
		{of: "RFC 9111 §5.2.1.1: max-age", script: `
			origin 200 | Cache-Control: max-age=100
			GET => run #1
			+5s
			GET | Cache-Control: max-age=5 => hit #1
			GET | Cache-Control: max-age=4 => run #2
			GET => hit #2
			+5s
			GET | Cache-Control: max-age=5, max-age=4 => run #3
			+1s
			GET | Cache-Control: max-age=0 => run #4
			+1s
			GET | Cache-Control: max-age=x => run #5`},
		{of: "RFC 9111 §5.2.1.1: what does not do is validated", script: `
			origin 200 | Cache-Control: max-age=100 | ETag: "a"
			GET => run #1
			+5s
			origin 304 | ETag: "a"
			GET | Cache-Control: max-age=4 => run #1 | saw If-None-Match: "a" | Cache-Status: larder; fwd=request; fwd-status=304; stored; ttl=100
			GET | Cache-Control: max-age=4 => hit #1 | Age: 0`},
		{of: "RFC 9111 §5.2.1.1: who names a max-age wants nothing stale, unless there is max-stale", policy: swr, script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+11s
			GET | Cache-Control: max-age=60 => run #2
			+11s
			GET | Cache-Control: max-age=60, max-stale=60 => hit #2`},
		{of: "RFC 9111 §5.2.1.3: min-fresh", script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+5s
			GET | Cache-Control: min-fresh=5 => hit #1
			GET | Cache-Control: min-fresh=6 => run #2
			GET | Cache-Control: min-fresh=6, min-fresh=11 => run #3
			GET | Cache-Control: min-fresh=x => hit #3`},
		{of: "RFC 9111 §5.2.1.2: max-stale with a bound", policy: patient, script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+15s
			GET | Cache-Control: max-stale=5 => hit #1 | Age: 15
			GET | Cache-Control: max-stale=4 => run #2
			GET | Cache-Control: max-stale=4 => hit #2
			+15s
			GET => run #3`},
		{of: "RFC 9111 §5.2.1.2: max-stale without a bound, and one that is none", policy: patient, script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+600s
			GET | Cache-Control: max-stale => hit #1 | Age: 600
			GET | Cache-Control: max-stale=x => run #2`},
		{of: "RFC 9111 §5.2.1.2: max-stale and max-age", policy: patient, script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+15s
			GET | Cache-Control: max-stale, max-age=14 => run #2
			+15s
			GET | Cache-Control: max-stale, max-age=15 => hit #2`},
		{of: "RFC 9111 §4.2.4: max-stale never goes past must-revalidate", policy: patient, script: `
			origin 200 | Cache-Control: max-age=10, must-revalidate | ETag: "a"
			GET => run #1
			+11s
			GET | Cache-Control: max-stale => run #2`},
		{of: "RFC 9111 §4.4: nor past an invalidation", policy: patient, script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			+11s
			GET | Cache-Control: max-stale => hit #1
			POST => run #2
			GET | Cache-Control: max-stale => run #3`},
		{of: "RFC 9111 §5.2.1.4: no-cache", script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			GET | Cache-Control: no-cache => run #2
			GET => hit #2
			GET | Pragma: no-cache => hit #2
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET /etag => run #3
			origin 304 | ETag: "a"
			GET /etag | Cache-Control: no-cache => run #3
			origin 500
			GET /etag | Cache-Control: no-cache => run 500 #5
			GET /etag => hit #3`},
		{of: "RFC 9111 §5.2.1.5: no-store: nothing is stored, and nothing looked up", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET | Cache-Control: no-store => run #1
			GET => run #2
			GET | Cache-Control: no-store => run #3 | saw If-None-Match: -
			GET | Cache-Control: no-store | If-None-Match: "x" => run #4 | saw If-None-Match: "x"
			HEAD | Cache-Control: no-store => run
			GET => hit #2`},
		{of: "RFC 9111 §5.2.1.7: only-if-cached", script: `
			origin 200 | Cache-Control: max-age=10
			GET | Cache-Control: only-if-cached => hit 504 empty | Cache-Control: ~no-store | Cache-Status: larder; detail=only-if-cached
			HEAD | Cache-Control: only-if-cached => hit 504
			GET => run #1
			GET | Cache-Control: only-if-cached => hit #1
			HEAD | Cache-Control: only-if-cached => hit empty
			GET | Cache-Control: only-if-cached | Range: bytes=0-2 => hit 206 #1[0:3]
			GET | Cache-Control: only-if-cached, no-cache => hit 504
			GET /other | Cache-Control: only-if-cached => hit 504
			+10s
			GET | Cache-Control: only-if-cached => hit 504`},
		{of: "RFC 9111 §5.2.1.7: only-if-cached takes what may be served stale", policy: patient, script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+15s
			GET | Cache-Control: only-if-cached => hit 504
			GET | Cache-Control: only-if-cached, max-stale => hit #1`},
		{of: "RFC 9111 §5.2: names in any case, on several lines, with unknown ones", script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			GET | Cache-Control: x, "; | Cache-Control: No-Cache => run #2
			GET | Cache-Control: unknown=1 => hit #2`},
		{of: "RFC 9110 §13.1.1, §13.1.4: conditions that the origin judges", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			GET | If-Match: "a" => run #2 | saw If-Match: "a"
			GET | If-Unmodified-Since: {-10s} | Range: bytes=0-1 => run #3 | saw If-Unmodified-Since: {-10s} | saw Range: bytes=0-1
			origin 412
			GET | If-Match: "b" => run 412 #4
			GET => hit #1`},
		{of: "a waiting index is bound by the same wishes", script: `
			origin 200 | Cache-Control: max-age=10 | Vary: X-A
			GET | X-A: a => run #1
			GET | X-A: a | Cache-Control: no-cache => run #2
			GET | X-A: a | Cache-Control: no-store => run #3
			GET | X-A: a | Cache-Control: only-if-cached => hit #2
			GET | X-A: b | Cache-Control: only-if-cached => hit 504`},
	})
}
