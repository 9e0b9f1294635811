package middleware_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// Cache groups (RFC 9875) and tags are one thing.
func TestStandardGroups(t *testing.T) {
	tagged := standardPolicy
	tagged.Tags = []string{"policy's"}
	const kept = `
			origin 200 | Cache-Control: max-age=1000 | Cache-Groups: "a", "b";x
			GET /ab => run #1
			origin 200 | Cache-Control: max-age=1000 | Cache-Groups: "b" | Cache-Groups: "B"
			GET /b => run #2
			origin 200 | Cache-Control: max-age=1000
			GET /none => run #3
`
	obey(t, []rule{
		{of: "RFC 9875 §3: a success of an unsafe method invalidates groups", script: kept + `
			origin 204 | Cache-Group-Invalidation: "a"
			POST /x => run 204
			GET /b => hit #2
			GET /none => hit #3
			GET /ab => run 204`},
		{of: "RFC 9875 §3: several, case as it is", script: kept + `
			origin 303 | Cache-Group-Invalidation: "A", "B"
			POST /x => run 303
			GET /ab => hit #1
			GET /b => run 303`},
		{of: "RFC 9875 §3: not on errors, not by safe methods, not what cannot be read", script: kept + `
			origin 400 | Cache-Group-Invalidation: "a"
			POST /x => run 400
			origin 200 | Cache-Group-Invalidation: "a"
			GET /x => run
			OPTIONS /x => run
			HEAD /x => run
			origin 200 | Cache-Group-Invalidation: a
			POST /x => run
			origin 200 | Cache-Group-Invalidation: "a", b
			POST /x => run
			GET /ab => hit #1`},
		{of: "a policy's tags are groups", policy: tagged, script: kept + `
			origin 204 | Cache-Group-Invalidation: "policy's"
			POST /x => run 204
			GET /none => run 204
			GET /ab => run 204`},
		{of: "… in policy mode too", policy: cache.Policy{TTL: time.Hour, Tags: []string{"policy's"}}, script: kept + `
			origin 204 | Cache-Group-Invalidation: "a"
			POST /x => run 204
			GET /b => hit #2
			GET /ab => run 204
			origin 204 | Cache-Group-Invalidation: "policy's"
			POST /x => run 204
			GET /b => run 204`},
		{of: "RFC 9875 §2: what is confirmed is in the groups that it was in", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | Cache-Groups: "g"
			GET => run #1
			+10s
			origin 304
			GET => run #1
			GET => hit #1
			origin 204 | Cache-Group-Invalidation: "g"
			POST /x => run 204
			GET => run 204 | saw If-None-Match: -`},
	})
}

// A group is of one origin; a tag is not.
func TestStandardGroupsAreOfOneOrigin(t *testing.T) {
	at := func(host string) option { return func(r *http.Request) { r.Host = host } }
	run(t, func(t *testing.T, s *site) {
		s.handle("/{rest...}", standardPolicy, setting("Cache-Control: max-age=1000", `Cache-Groups: "g"`, `Cache-Group-Invalidation: "g"`))
		s.miss("/a", at("one.example"))
		s.miss("/a", at("two.example"))
		s.do("POST", "/b", at("one.example"))
		s.hit("/a", at("two.example"))
		s.miss("/a", at("one.example"))
		s.purge(cache.Tag("g"))
		s.miss("/a", at("two.example"))
		s.miss("/a", at("one.example"))
	})
}

// Clear-Site-Data: what it asks of a browser's cache holds for this one's part of it, that user's.
func TestStandardClearSiteData(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		for pattern, fields := range map[string][]string{
			"/a": nil, "/logout": {`Clear-Site-Data: "cookies", "cache"`}, "/all": {`Clear-Site-Data: "*"`},
			"/others": {`Clear-Site-Data: "cookies"`}, "/unquoted": {"Clear-Site-Data: cache"},
		} {
			s.handle(pattern, standardPolicy, setting(append(fields, "Cache-Control: max-age=1000")...))
		}
		s.handle("/fails", standardPolicy, answering(500, "", `Clear-Site-Data: "cache"`))
		s.miss("/a")
		s.miss("/a", as("bob"))
		for _, path := range []string{"/others", "/unquoted", "/fails"} {
			s.get(path)
			s.hit("/a")
		}
		for _, path := range []string{"/logout", "/all"} {
			s.get(path)
			s.hit("/a", as("bob"))
			s.miss("/a")
			s.get(path) // it is not kept itself: it would not be heard a second time
			s.miss("/a")
		}
	}, perUser...)
}

// On a shared route it is a field like any other, and clears nothing of everyone's.
func TestStandardClearSiteDataOnSharedRoutes(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("/a", standardPolicy, setting("Cache-Control: max-age=1000"))
		s.handle("/logout", standardPolicy, setting("Cache-Control: max-age=1000", `Clear-Site-Data: "*"`))
		s.miss("/a")
		s.get("/logout")
		s.hit("/a")
	}, shared...)
}
