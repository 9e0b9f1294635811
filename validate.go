package cache

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/internal/surrogate"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"golang.org/x/net/http/httpguts"
)

// A policy is checked once, when it is parsed or registered, so that no request meets a policy that cannot work. Each error names the
// setting, the fault and the remedy: its reader has an app that does not start.

// maxLife bounds every duration of a policy: RFC 9111 has no use for a longer one.
const maxLife = 365 * 24 * time.Hour

// maxSelectors bounds the headers, and the cookies, that select a response. Each multiplies the variants of a URL.
const maxSelectors = 8

// maxNear is the near TTL above which a warning says how long processes may differ.
const maxNear = 10 * time.Second

// A refusal says why a policy cannot work: the fault and the remedy. The setting has its name in the text form, or "" for the class, so
// that the error about a table can name the column.
type refusal struct{ setting, text string }

func (r *refusal) Error() string { return r.text }

func refuse(setting, format string, args ...any) error {
	return &refusal{setting, fmt.Sprintf(format, args...)}
}

// check returns why the policy cannot work in this cache: because of the policy itself, or of something that the Options lack.
func (c *Cache) check(p Policy) error {
	if err := p.check(); err != nil {
		return err
	}
	switch {
	case p.Class.usesRedis() && c.tiers.Far == nil:
		return fmt.Errorf("%s lives in Redis and this cache has none; set Options.Far, with redisstore.Open for example, or use shared-global", p.Class)
	case p.Class == PerUser && p.User == nil && c.user == nil:
		return fmt.Errorf("per-user needs to know who is asking; set Policy.User or Options.User, to keying.FromContext() for example")
	}
	if p.SkipName != "" && c.skips[p.SkipName] == nil {
		return fmt.Errorf("its SkipName is %q, which Options.Skips does not have; %s", p.SkipName, oneOf(c.skips))
	}
	if p.VaryByName != "" && c.by[p.VaryByName] == nil {
		return fmt.Errorf("its VaryByName is %q, which Options.By does not have; %s", p.VaryByName, oneOf(c.by))
	}
	return nil
}

// oneOf lists the names of functions that the Options have, for an error about a name that they lack.
func oneOf[F any](functions map[string]F) string {
	if len(functions) == 0 {
		return "it is empty: set it in the Options of this cache"
	}
	return "it has " + strings.Join(slices.Sorted(maps.Keys(functions)), ", ")
}

// check returns why the policy cannot work in any cache. ParsePolicy and Compile both call it. So mistakes in a table are reported with
// their line and column, and those of a Policy in Go with the same words.
func (p Policy) check() error {
	if !p.Class.valid() {
		return refuse("", "the class is missing or unknown; set Class to one of SharedGlobal, PerUser, HotShared, FleetShared")
	}
	for _, check := range [...]func(Policy) error{checkTimes, checkLimits, checkIdentity, checkFunctions, checkStandard, checkHeaders, checkCookies, checkQuery, checkStatuses, checkTags, checkClient} {
		if err := check(p); err != nil {
			return err
		}
	}
	return nil
}

// checkPattern returns why a route with the pattern cannot have a policy. A line for POST would never cache anything, and whoever wrote
// it expects something else.
func checkPattern(pattern string) error {
	switch method, _, path := keying.SplitPattern(pattern); {
	case pattern == "":
		return nil
	case method != "" && method != http.MethodGet && method != http.MethodHead:
		return fmt.Errorf("%s is never cached; annotate its GET route, or remove the line", method)
	case path == "":
		return fmt.Errorf("there is no path; write for example GET /products/{id}")
	}
	return nil
}

// checkTimes refuses negative durations (StaleIfError may be negative), durations above a year, and a near TTL that is longer than the
// TTL, or of a class that has no near copies.
func checkTimes(p Policy) error {
	switch {
	case p.TTL < 0:
		return refuse("ttl", "its TTL is %v; set one above zero, or leave it at 0 for %v", p.TTL, DefaultTTL)
	case p.NearTTL < 0:
		return refuse("near", "its NearTTL is %v; set one above zero, or leave it at 0 for %v", p.NearTTL, DefaultNearTTL)
	case p.NearTTL != 0 && p.Class != HotShared:
		return refuse("near", "its NearTTL is set and %s keeps no near copy; leave it out, or use hot-shared", p.Class)
	case p.NearTTL > p.ttl() && p.ttl() > 0:
		return refuse("near", "its NearTTL (%v) is longer than TTL (%v); shorten it", p.NearTTL, p.ttl())
	case p.StaleWhileRevalidate < 0:
		return refuse("swr", "its StaleWhileRevalidate is %v; set it above zero, or leave it out", p.StaleWhileRevalidate)
	case p.TTL > maxLife:
		return refuse("ttl", "its TTL is longer than a year; shorten it")
	case p.StaleWhileRevalidate > maxLife:
		return refuse("swr", "its StaleWhileRevalidate is longer than a year; shorten it")
	case p.StaleIfError > maxLife:
		return refuse("sie", "its StaleIfError is longer than a year; shorten it")
	}
	return nil
}

// checkLimits refuses negative limits, and a MaxBody that no store would accept.
func checkLimits(p Policy) error {
	switch {
	case p.MaxRuns < 0:
		return refuse("max-runs", "its MaxRuns is %d; set it above zero, or leave it at 0 for %d", p.MaxRuns, DefaultMaxRuns)
	case p.MaxBody < 0:
		return refuse("max-body", "its MaxBody is %d; set it above zero, or leave it at 0 for 1 MiB", p.MaxBody)
	case p.MaxBody > store.MaxEncoded:
		return refuse("max-body", "its MaxBody is %d bytes; a store takes at most %d, lower it", p.MaxBody, store.MaxEncoded)
	}
	return nil
}

// checkIdentity refuses settings about identity on classes whose handlers see no user, or the whole request.
func checkIdentity(p Policy) error {
	switch private := p.Class == PerUser; {
	case !private && p.User != nil:
		return refuse("user", "its User is set and %s answers are for everyone; use per-user, or leave User out", p.Class)
	case private && p.IgnoreAuthorization:
		return refuse("ignore-authorization", "its IgnoreAuthorization has no meaning for per-user, whose handlers see the whole request; leave it out")
	}
	return nil
}

// checkFunctions refuses a function that is set twice: in Go and by name.
func checkFunctions(p Policy) error {
	switch {
	case p.Skip != nil && p.SkipName != "":
		return refuse("skip", "its Skip and SkipName are both set; leave one of them out")
	case p.VaryBy != nil && p.VaryByName != "":
		return refuse("by", "its VaryBy and VaryByName are both set; leave one of them out")
	}
	return nil
}

// checkStandard refuses settings that have no meaning in RFC 9111 mode, where the response's own headers decide.
func checkStandard(p Policy) error {
	switch {
	case !p.RFC9111:
		return nil
	case len(p.StatusTTL) > 0:
		return refuse("status", "its StatusTTL is set and with RFC9111 the answers say themselves how long they may be kept; leave one of them out")
	case len(p.Pass) > 0:
		return refuse("pass", "its Pass is set and with RFC9111 the handler sees every header; leave one of them out")
	case p.IgnoreAuthorization:
		return refuse("ignore-authorization", "its IgnoreAuthorization is set and with RFC9111 the answers say whether they are for everyone (RFC 9111 §3.5); leave one of them out")
	}
	return nil
}

// ownHeaders are request headers that the cache evaluates or hides itself, so they cannot select a response: conditions and ranges, which
// it evaluates on the whole response, and those of the connection (RFC 9110 §7.6.1).
var ownHeaders = []string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range",
	"Connection", "Upgrade", "Te", "Trailer", "Transfer-Encoding", "Content-Length", "Host", "Expect", "Keep-Alive",
	"Proxy-Connection", "Proxy-Authorization", "Http2-Settings"}

// checkHeaders refuses names in Vary and Pass that are no header names, that nothing can match, or that would let one user's response be
// selected, or made, for everyone.
func checkHeaders(p Policy) error {
	if len(p.Vary) > maxSelectors {
		return refuse("vary", "its Vary names %d headers; at most %d, or there are more variants than hits", len(p.Vary), maxSelectors)
	}
	for _, name := range p.Vary {
		switch canonical := http.CanonicalHeaderKey(name); {
		case name == "*":
			return refuse("vary", `its Vary is "*", which nothing can match; name the headers that select the answer`)
		case !httpguts.ValidHeaderFieldName(name):
			return refuse("vary", "its Vary names %q, which is no header name; write for example Accept-Language", name)
		case slices.Contains(ownHeaders, canonical):
			return refuse("vary", "its Vary names %s, which the cache handles itself; leave it out", canonical)
		case p.Class != PerUser && (canonical == "Cookie" || canonical == "Authorization"):
			return refuse("vary", "its Vary names %s on %s, whose answers are for everyone; use per-user, or select by a harmless cookie with Cookies", canonical, p.Class)
		}
	}
	for _, name := range p.Pass {
		switch canonical := http.CanonicalHeaderKey(name); {
		case name == "*" || !httpguts.ValidHeaderFieldName(name):
			return refuse("pass", "its Pass names %q, which is no header name; write for example User-Agent", name)
		case slices.Contains(ownHeaders, canonical):
			return refuse("pass", "its Pass names %s, which the cache handles itself; leave it out", canonical)
		case p.Class != PerUser && (canonical == "Cookie" || canonical == "Authorization"):
			return refuse("pass", "its Pass names %s on %s: one user's answer would go to everyone; use per-user", canonical, p.Class)
		}
	}
	return nil
}

// sessions are the names of session cookies in widespread software. A shared class that selects by one would store a copy per user among
// the responses for everyone. That is nearly always a mistake for per-user.
var sessions = []string{"session", "sessionid", "session_id", "session-id", "_session", "_session_id", "sid", "connect.sid",
	"phpsessid", "jsessionid", "asp.net_sessionid", "laravel_session", "auth", "auth_token", "authtoken", "token",
	"access_token", "id_token", "refresh_token", "jwt", "remember_token", "remember_me"}

// checkCookies refuses names that are no cookie names (tokens, RFC 6265 §4.1.1), and sessions on shared classes.
func checkCookies(p Policy) error {
	if len(p.Cookies) > maxSelectors {
		return refuse("cookies", "its Cookies name %d cookies; at most %d, or there are more variants than hits", len(p.Cookies), maxSelectors)
	}
	for _, name := range p.Cookies {
		bare := strings.ToLower(name)
		bare = strings.TrimPrefix(strings.TrimPrefix(bare, "__host-"), "__secure-")
		switch {
		case !httpguts.ValidHeaderFieldName(name): // a cookie's name is a token too
			return refuse("cookies", "its Cookies name %q, which is no cookie name; write for example theme", name)
		case p.Class != PerUser && slices.Contains(sessions, bare):
			return refuse("cookies", "its Cookies name %q on %s: a session selects one user's answer; use per-user", name, p.Class)
		}
	}
	return nil
}

// checkQuery refuses an Except without names, and more names than a key may have parameters.
func checkQuery(p Policy) error {
	names, only := p.Query.Names()
	if !only && !p.Query.Raw() && len(names) == 0 {
		return refuse("query", "its Query excepts nothing; name parameters, or leave it out for the raw query")
	}
	if len(names) > keys.MaxParams {
		return refuse("query", "its Query names %d parameters; at most %d", len(names), keys.MaxParams)
	}
	return nil
}

// keepable are the statuses besides 200 that a policy may store. Errors that depend on one request's headers or on the moment (400, 403,
// 429, 5xx) are not among them: one client could replace the response for all (cache-poisoned denial of service).
var keepable = []int{203, 204, 300, 301, 302, 307, 308, 404, 410}

// checkStatuses refuses statuses that must not be stored, and lifetimes that are not above zero, or above a year.
func checkStatuses(p Policy) error {
	for _, status := range slices.Sorted(maps.Keys(p.StatusTTL)) {
		switch ttl := p.StatusTTL[status]; {
		case status == http.StatusOK:
			return refuse("status", "its StatusTTL has 200, whose lifetime is TTL; leave it out")
		case !slices.Contains(keepable, status):
			return refuse("status", "its StatusTTL has %d, which must not be kept; the statuses are %v", status, keepable)
		case ttl <= 0 || ttl > maxLife:
			return refuse("status", "its StatusTTL[%d] is %v; set one above zero and at most a year", status, ttl)
		}
	}
	return nil
}

// checkTags refuses more tags than leave room in an entry for those that handlers add, and tags that cannot be parsed.
func checkTags(p Policy) error {
	if len(p.Tags) > store.MaxLabels/4 {
		return refuse("tags", "there are %d tags; at most %d", len(p.Tags), store.MaxLabels/4)
	}
	for _, text := range p.Tags {
		if _, err := surrogate.ParseTag(text); err != nil {
			return refuse("tags", "%v; write for example product:{id}", err)
		}
	}
	return nil
}

// checkParams refuses a tag whose path parameter the pattern does not have: the tag would have no text, and no response would be stored.
// Without a pattern, as around a router, only requests can show that.
func checkParams(p Policy, pattern string) error {
	if pattern == "" {
		return nil
	}
	normal := keying.NormalizePattern(pattern)
	for _, text := range p.Tags {
		tag, _ := surrogate.ParseTag(text)
		for _, name := range tag.Params() {
			if !strings.Contains(normal, "{"+name+"}") && !strings.Contains(pattern, "{"+name+"...}") {
				return refuse("tags", "tag %q needs a path parameter {%s}, which the route does not have; correct one of them", text, name)
			}
		}
	}
	return nil
}

// directives are the Cache-Control directives of responses that clients know. Any other one counts as misspelt: clients would silently
// ignore it.
var directives = []string{"no-cache", "no-store", "no-transform", "must-revalidate", "proxy-revalidate", "must-understand",
	"private", "public", "max-age", "s-maxage", "immutable", "stale-while-revalidate", "stale-if-error"}

// checkClient refuses a Cache-Control that clients could not parse, or that contradicts the class.
func checkClient(p Policy) error {
	if p.Client == "" {
		return nil
	}
	n := 0
	for d, ok := range rfc9111.Directives([]string{p.Client}) {
		if n++; ok && !slices.Contains(directives, strings.ToLower(d.Name)) {
			return refuse("client", "its Client has %q, which clients do not know; use no-cache, or max-age=60 for example", d.Name)
		}
	}
	c := rfc9111.ParseControl([]string{p.Client})
	switch {
	case n == 0, c.Malformed, c.BadTime, !httpguts.ValidHeaderFieldValue(p.Client):
		return refuse("client", "its Client is %q, which is no Cache-Control; write no-cache, or max-age=60 for example", p.Client)
	case p.Class == PerUser && (c.Public || c.SMaxAge >= 0):
		return refuse("client", "its Client is %q and per-user answers are private; leave public and s-maxage out", p.Client)
	}
	return nil
}
