package cache

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/middleware/rfc9111"
	"github.com/larder-go/cache/store"
)

// maxLife bounds every duration of a policy.
const maxLife = 365 * 24 * time.Hour

// maxSelectors bounds the headers, and the cookies, that select an answer.
const maxSelectors = 8

// maxNear is the near TTL above which copies are stale for longer than most people expect.
const maxNear = 10 * time.Second

// check says why the policy cannot work in this cache: the fault and the remedy.
func (c *Cache) check(p Policy) error {
	if !p.Class.valid() {
		return fmt.Errorf("the class is missing or unknown; set Class to one of SharedGlobal, PerUser, HotShared, FleetShared")
	}
	if p.Class.usesRedis() && c.far == nil {
		return fmt.Errorf("%s lives in Redis and this cache has none; set Options.Far, with redisstore.Open for example, or use shared-global", p.Class)
	}
	for _, check := range [...]func(Policy) error{checkTimes, c.checkIdentity, checkStandard, checkHeaders, checkCookies, checkQuery, checkStatuses, checkTags, checkClient} {
		if err := check(p); err != nil {
			return err
		}
	}
	return nil
}

func checkTimes(p Policy) error {
	switch {
	case p.TTL < 0:
		return fmt.Errorf("its TTL is %v; set one above zero, or leave it at 0 for %v", p.TTL, DefaultTTL)
	case p.NearTTL < 0:
		return fmt.Errorf("its NearTTL is %v; set one above zero, or leave it at 0 for %v", p.NearTTL, DefaultNearTTL)
	case p.NearTTL != 0 && p.Class != HotShared:
		return fmt.Errorf("its NearTTL is set and %s keeps no near copy; leave it out, or use hot-shared", p.Class)
	case p.NearTTL > p.ttl() && p.ttl() > 0:
		return fmt.Errorf("its NearTTL (%v) is longer than TTL (%v); shorten it", p.NearTTL, p.ttl())
	case p.StaleWhileRevalidate < 0:
		return fmt.Errorf("its StaleWhileRevalidate is %v; set it above zero, or leave it out", p.StaleWhileRevalidate)
	case max(p.TTL, p.StaleWhileRevalidate, p.StaleIfError) > maxLife:
		return fmt.Errorf("its TTL, StaleWhileRevalidate or StaleIfError is longer than a year; shorten it")
	case p.MaxRuns < 0:
		return fmt.Errorf("its MaxRuns is %d; set it above zero, or leave it at 0 for %d", p.MaxRuns, DefaultMaxRuns)
	case p.MaxBody < 0:
		return fmt.Errorf("its MaxBody is %d; set it above zero, or leave it at 0 for 1 MiB", p.MaxBody)
	case p.MaxBody > store.MaxEncoded:
		return fmt.Errorf("its MaxBody is %d bytes; a store takes at most %d, lower it", p.MaxBody, store.MaxEncoded)
	}
	return nil
}

func (c *Cache) checkIdentity(p Policy) error {
	switch private := p.Class == PerUser; {
	case private && p.User == nil && c.user == nil:
		return fmt.Errorf("per-user needs to know who is asking; set Policy.User or Options.User, to keying.FromContext() for example")
	case !private && p.User != nil:
		return fmt.Errorf("its User is set and %s answers are for everyone; use per-user, or leave User out", p.Class)
	case private && p.IgnoreAuthorization:
		return fmt.Errorf("its IgnoreAuthorization has no meaning for per-user, whose handlers see the whole request; leave it out")
	}
	return nil
}

// checkStandard refuses what has no meaning where the answers' own headers rule.
func checkStandard(p Policy) error {
	switch {
	case !p.RFC9111:
		return nil
	case len(p.StatusTTL) > 0:
		return fmt.Errorf("its StatusTTL is set and with RFC9111 the answers say themselves how long they may be kept; leave one of them out")
	case len(p.Pass) > 0:
		return fmt.Errorf("its Pass is set and with RFC9111 the handler sees every header; leave one of them out")
	case p.IgnoreAuthorization:
		return fmt.Errorf("its IgnoreAuthorization is set and with RFC9111 the answers say whether they are for everyone (RFC 9111 §3.5); leave one of them out")
	}
	return nil
}

// answered are request headers that a cache answers or hides itself, so that they cannot select.
var answered = []string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range",
	"Connection", "Upgrade", "Te", "Trailer", "Transfer-Encoding", "Content-Length", "Host", "Expect", "Keep-Alive",
	"Proxy-Connection", "Proxy-Authorization", "Http2-Settings"}

func checkHeaders(p Policy) error {
	if len(p.Vary) > maxSelectors {
		return fmt.Errorf("its Vary names %d headers; at most %d, or there are more variants than hits", len(p.Vary), maxSelectors)
	}
	for _, name := range p.Vary {
		switch canonical := http.CanonicalHeaderKey(name); {
		case name == "*":
			return fmt.Errorf(`its Vary is "*", which nothing can match; name the headers that select the answer`)
		case !httpguts.ValidHeaderFieldName(name):
			return fmt.Errorf("its Vary names %q, which is no header name; write for example Accept-Language", name)
		case slices.Contains(answered, canonical):
			return fmt.Errorf("its Vary names %s, which the cache handles itself; leave it out", canonical)
		case p.Class != PerUser && (canonical == "Cookie" || canonical == "Authorization"):
			return fmt.Errorf("its Vary names %s on %s, whose answers are for everyone; use per-user, or select by a harmless cookie with Cookies", canonical, p.Class)
		}
	}
	for _, name := range p.Pass {
		switch canonical := http.CanonicalHeaderKey(name); {
		case name == "*" || !httpguts.ValidHeaderFieldName(name):
			return fmt.Errorf("its Pass names %q, which is no header name; write for example User-Agent", name)
		case slices.Contains(answered, canonical):
			return fmt.Errorf("its Pass names %s, which the cache handles itself; leave it out", canonical)
		case p.Class != PerUser && (canonical == "Cookie" || canonical == "Authorization"):
			return fmt.Errorf("its Pass names %s on %s: one user's answer would go to everyone; use per-user", canonical, p.Class)
		}
	}
	return nil
}

// sessions are cookie names that carry a session in widespread software.
var sessions = []string{"session", "sessionid", "session_id", "session-id", "_session", "_session_id", "sid", "connect.sid",
	"phpsessid", "jsessionid", "asp.net_sessionid", "laravel_session", "auth", "auth_token", "authtoken", "token",
	"access_token", "id_token", "refresh_token", "jwt", "remember_token", "remember_me"}

func checkCookies(p Policy) error {
	if len(p.Cookies) > maxSelectors {
		return fmt.Errorf("its Cookies name %d cookies; at most %d, or there are more variants than hits", len(p.Cookies), maxSelectors)
	}
	for _, name := range p.Cookies {
		plain := strings.ToLower(name)
		plain = strings.TrimPrefix(strings.TrimPrefix(plain, "__host-"), "__secure-")
		switch {
		case !httpguts.ValidHeaderFieldName(name): // a cookie's name is a token too
			return fmt.Errorf("its Cookies name %q, which is no cookie name; write for example theme", name)
		case p.Class != PerUser && slices.Contains(sessions, plain):
			return fmt.Errorf("its Cookies name %q on %s: a session selects one user's answer; use per-user", name, p.Class)
		}
	}
	return nil
}

func checkQuery(p Policy) error {
	names, only := p.Query.Names()
	if !only && !p.Query.Raw() && len(names) == 0 {
		return fmt.Errorf("its Query excepts nothing; name parameters, or leave it out for the raw query")
	}
	if len(names) > keying.MaxParams {
		return fmt.Errorf("its Query names %d parameters; at most %d", len(names), keying.MaxParams)
	}
	return nil
}

// keepable are the statuses besides 200 that a policy may opt in to. Errors that depend on one request's headers or on
// the moment (400, 403, 429, 5xx) would let one client spoil an answer for all.
var keepable = []int{203, 204, 300, 301, 302, 307, 308, 404, 410}

func checkStatuses(p Policy) error {
	for status, ttl := range p.StatusTTL {
		switch {
		case status == http.StatusOK:
			return fmt.Errorf("its StatusTTL has 200, whose lifetime is TTL; leave it out")
		case !slices.Contains(keepable, status):
			return fmt.Errorf("its StatusTTL has %d, which must not be kept; the statuses are %v", status, keepable)
		case ttl <= 0 || ttl > maxLife:
			return fmt.Errorf("its StatusTTL[%d] is %v; set one above zero and at most a year", status, ttl)
		}
	}
	return nil
}

func checkTags(p Policy) error {
	if len(p.Tags) > store.MaxLabels/4 {
		return fmt.Errorf("there are %d tags; at most %d", len(p.Tags), store.MaxLabels/4)
	}
	for _, text := range p.Tags {
		if _, err := middleware.ParseTag(text); err != nil {
			return fmt.Errorf("%w; write for example product:{id}", err)
		}
	}
	return nil
}

// checkParams says which path parameter of a tag the pattern does not have.
func checkParams(p Policy, pattern string) error {
	if pattern == "" {
		return nil
	}
	normal := keying.NormalizePattern(pattern)
	for _, text := range p.Tags {
		tag, _ := middleware.ParseTag(text)
		for _, name := range tag.Params() {
			if !strings.Contains(normal, "{"+name+"}") && !strings.Contains(pattern, "{"+name+"...}") {
				return fmt.Errorf("tag %q needs a path parameter {%s}, which the route does not have; correct one of them", text, name)
			}
		}
	}
	return nil
}

// directives are those of a response's Cache-Control that clients know; another one is a misspelt one.
var directives = []string{"no-cache", "no-store", "no-transform", "must-revalidate", "proxy-revalidate", "must-understand",
	"private", "public", "max-age", "s-maxage", "immutable", "stale-while-revalidate", "stale-if-error"}

// checkClient refuses a Cache-Control that clients could not read, or that contradicts the class.
func checkClient(p Policy) error {
	if p.Client == "" {
		return nil
	}
	n := 0
	for d, ok := range rfc9111.Directives([]string{p.Client}) {
		if n++; ok && !slices.Contains(directives, strings.ToLower(d.Name)) {
			return fmt.Errorf("its Client has %q, which clients do not know; use no-cache, or max-age=60 for example", d.Name)
		}
	}
	c := rfc9111.ParseControl([]string{p.Client})
	switch {
	case n == 0, c.Malformed, c.BadTime, !httpguts.ValidHeaderFieldValue(p.Client):
		return fmt.Errorf("its Client is %q, which is no Cache-Control; write no-cache, or max-age=60 for example", p.Client)
	case p.Class == PerUser && (c.Public || c.SMaxAge >= 0):
		return fmt.Errorf("its Client is %q and per-user answers are private; leave public and s-maxage out", p.Client)
	}
	return nil
}
