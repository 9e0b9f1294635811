package cache_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

// fullCache has a Far store and no identity: every class works in it, but PerUser only if the policy sets User.
func fullCache(t testing.TB) *cache.Cache {
	t.Helper()
	return newCache(t, cache.Options{Far: memory(t)})
}

func newCache(t testing.TB, o cache.Options) *cache.Cache {
	t.Helper()
	c, err := cache.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return c
}

func memory(t testing.TB) *memstore.Store {
	s := memstore.New(memstore.Options{})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// numbered returns n different names.
func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("n%d", i)
	}
	return names
}

const year = 365 * 24 * time.Hour

// TestAPolicyThatCannotWorkIsRefusedAtRegistration, with what is wrong and how to correct it; policies just within the limits work.
func TestAPolicyThatCannotWorkIsRefusedAtRegistration(t *testing.T) {
	shared := func(change func(*cache.Policy)) cache.Policy {
		p := cache.Policy{Class: cache.SharedGlobal}
		change(&p)
		return p
	}
	user := keying.FromContext()
	tests := []struct {
		name          string
		policy        cache.Policy
		fault, remedy string // "": it works
	}{
		{"no class", cache.Policy{}, "the class is missing or unknown", "set Class to one of SharedGlobal, PerUser, HotShared, FleetShared"},
		{"unknown class", cache.Policy{Class: cache.FleetShared + 1}, "the class is missing or unknown", "set Class"},
		{"class alone", shared(func(*cache.Policy) {}), "", ""},
		{"RFC9111 and StatusTTL", shared(func(p *cache.Policy) { p.RFC9111, p.StatusTTL = true, map[int]time.Duration{404: time.Second} }), "StatusTTL is set", "leave one of them out"},
		{"RFC9111 and Pass", shared(func(p *cache.Policy) { p.RFC9111, p.Pass = true, []string{"X-A"} }), "Pass is set", "leave one of them out"},
		{"RFC9111 and IgnoreAuthorization", shared(func(p *cache.Policy) { p.RFC9111, p.IgnoreAuthorization = true, true }), "IgnoreAuthorization is set", "leave one of them out"},

		{"Client no-cache", shared(func(p *cache.Policy) { p.Client = "no-cache" }), "", ""},
		{"Client with RFC9111", shared(func(p *cache.Policy) { p.Client, p.RFC9111 = "max-age=60, must-revalidate", true }), "", ""},
		{"Client private on a shared class", shared(func(p *cache.Policy) { p.Client = "private, max-age=60" }), "", ""},
		{"Client for a proxy in front", shared(func(p *cache.Policy) { p.Client = "public, s-maxage=60" }), "", ""},
		{"Client misspelt", shared(func(p *cache.Policy) { p.Client = "nocache" }), `Client has "nocache"`, "use no-cache, or max-age=60"},
		{"Client without a time", shared(func(p *cache.Policy) { p.Client = "max-age" }), `Client is "max-age", which is no Cache-Control`, "write no-cache, or max-age=60"},
		{"Client with a time that is none", shared(func(p *cache.Policy) { p.Client = "max-age=1m" }), "which is no Cache-Control", "write no-cache"},
		{"Client that is no list", shared(func(p *cache.Policy) { p.Client = "no-cache max-age=60" }), "which is no Cache-Control", "write no-cache"},
		{"Client of nothing", shared(func(p *cache.Policy) { p.Client = " , " }), "which is no Cache-Control", "write no-cache"},
		{"Client with a line break", shared(func(p *cache.Policy) { p.Client = "private=\"X\r\nSet-Cookie: a\"" }), "which is no Cache-Control", "write no-cache"},
		{"Client per user", cache.Policy{Class: cache.PerUser, User: user, Client: "max-age=60"}, "", ""},
		{"Client private per user", cache.Policy{Class: cache.PerUser, User: user, Client: "private, no-cache"}, "", ""},
		{"Client public per user", cache.Policy{Class: cache.PerUser, User: user, Client: "public, max-age=60"}, "per-user answers are private", "leave public and s-maxage out"},
		{"Client s-maxage per user", cache.Policy{Class: cache.PerUser, User: user, Client: "s-maxage=60"}, "per-user answers are private", "leave public and s-maxage out"},

		{"TTL below zero", shared(func(p *cache.Policy) { p.TTL = -1 }), "TTL is -1ns", "set one above zero"},
		{"TTL 1 ns", shared(func(p *cache.Policy) { p.TTL = 1 }), "", ""},
		{"TTL a year", shared(func(p *cache.Policy) { p.TTL = year }), "", ""},
		{"TTL above a year", shared(func(p *cache.Policy) { p.TTL = year + 1 }), "longer than a year", "shorten it"},
		{"SWR below zero", shared(func(p *cache.Policy) { p.StaleWhileRevalidate = -1 }), "StaleWhileRevalidate is -1ns", "set it above zero"},
		{"SWR a year", shared(func(p *cache.Policy) { p.StaleWhileRevalidate = year }), "", ""},
		{"SWR above a year", shared(func(p *cache.Policy) { p.StaleWhileRevalidate = year + 1 }), "longer than a year", "shorten it"},
		{"SIE below zero is off", shared(func(p *cache.Policy) { p.StaleIfError = -1 }), "", ""},
		{"SIE a year", shared(func(p *cache.Policy) { p.StaleIfError = year }), "", ""},
		{"SIE above a year", shared(func(p *cache.Policy) { p.StaleIfError = year + 1 }), "longer than a year", "shorten it"},

		{"near below zero", cache.Policy{Class: cache.HotShared, NearTTL: -1}, "NearTTL is -1ns", "set one above zero"},
		{"near as long as TTL", cache.Policy{Class: cache.HotShared, TTL: 9 * time.Second, NearTTL: 9 * time.Second}, "", ""},
		{"near longer than TTL", cache.Policy{Class: cache.HotShared, TTL: 9 * time.Second, NearTTL: 9*time.Second + 1}, "NearTTL (9.000000001s) is longer than TTL (9s)", "shorten it"},
		{"near as long as the default TTL", cache.Policy{Class: cache.HotShared, NearTTL: cache.DefaultTTL}, "", ""},
		{"near longer than the default TTL", cache.Policy{Class: cache.HotShared, NearTTL: cache.DefaultTTL + 1}, "is longer than TTL (1m0s)", "shorten it"},
		{"a TTL shorter than the default near TTL", cache.Policy{Class: cache.HotShared, TTL: time.Second}, "", ""},
		{"near without a near copy", cache.Policy{Class: cache.FleetShared, NearTTL: 1}, "fleet-shared keeps no near copy", "use hot-shared"},

		{"runs below zero", shared(func(p *cache.Policy) { p.MaxRuns = -1 }), "MaxRuns is -1", "leave it at 0 for 256"},
		{"one run", shared(func(p *cache.Policy) { p.MaxRuns = 1 }), "", ""},
		{"body below zero", shared(func(p *cache.Policy) { p.MaxBody = -1 }), "MaxBody is -1", "leave it at 0 for 1 MiB"},
		{"a body of 1", shared(func(p *cache.Policy) { p.MaxBody = 1 }), "", ""},
		{"the longest body", shared(func(p *cache.Policy) { p.MaxBody = store.MaxEncoded }), "", ""},
		{"a longer body", shared(func(p *cache.Policy) { p.MaxBody = store.MaxEncoded + 1 }), "a store takes at most 67108864", "lower it"},

		{"per-user without identity", cache.Policy{Class: cache.PerUser}, "per-user needs to know who is asking", "set Policy.User or Options.User"},
		{"per-user", cache.Policy{Class: cache.PerUser, User: user}, "", ""},
		{"identity for everyone", cache.Policy{Class: cache.HotShared, User: user}, "hot-shared answers are for everyone", "use per-user, or leave User out"},
		{"per-user hides nothing", cache.Policy{Class: cache.PerUser, User: user, IgnoreAuthorization: true}, "IgnoreAuthorization has no meaning for per-user", "leave it out"},
		{"shared hides Authorization", shared(func(p *cache.Policy) { p.IgnoreAuthorization = true }), "", ""},

		{"8 headers", shared(func(p *cache.Policy) { p.Vary = numbered(8) }), "", ""},
		{"9 headers", shared(func(p *cache.Policy) { p.Vary = numbered(9) }), "Vary names 9 headers; at most 8", "at most 8"},
		{"vary by *", shared(func(p *cache.Policy) { p.Vary = []string{"Accept", "*"} }), `Vary is "*"`, "name the headers that select"},
		{"vary by nothing", shared(func(p *cache.Policy) { p.Vary = []string{""} }), `Vary names "", which is no header name`, "write for example Accept-Language"},
		{"vary by two in one", shared(func(p *cache.Policy) { p.Vary = []string{"Accept, Origin"} }), "which is no header name", "Accept-Language"},
		{"vary by a condition", shared(func(p *cache.Policy) { p.Vary = []string{"if-none-match"} }), "Vary names If-None-Match, which the cache handles itself", "leave it out"},
		{"vary by a range", shared(func(p *cache.Policy) { p.Vary = []string{"Range"} }), "Vary names Range", "leave it out"},
		{"vary by host", shared(func(p *cache.Policy) { p.Vary = []string{"HOST"} }), "Vary names Host", "leave it out"},
		{"vary by cookie", shared(func(p *cache.Policy) { p.Vary = []string{"cookie"} }), "Vary names Cookie on shared-global", "select by a harmless cookie with Cookies"},
		{"vary by authorization", shared(func(p *cache.Policy) { p.Vary = []string{"Authorization"} }), "Vary names Authorization on shared-global", "use per-user"},
		{"per-user by cookie", cache.Policy{Class: cache.PerUser, User: user, Vary: []string{"Cookie"}}, "", ""},

		{"pass", shared(func(p *cache.Policy) { p.Pass = []string{"user-agent"} }), "", ""},
		{"pass no name", shared(func(p *cache.Policy) { p.Pass = []string{"User Agent"} }), `Pass names "User Agent", which is no header name`, "write for example User-Agent"},
		{"pass everything", shared(func(p *cache.Policy) { p.Pass = []string{"*"} }), `Pass names "*"`, "write for example User-Agent"},
		{"pass cookie", shared(func(p *cache.Policy) { p.Pass = []string{"Cookie"} }), "one user's answer would go to everyone", "use per-user"},
		{"pass authorization", shared(func(p *cache.Policy) { p.Pass = []string{"authorization"} }), "one user's answer would go to everyone", "use per-user"},
		{"pass a condition", shared(func(p *cache.Policy) { p.Pass = []string{"if-none-match"} }), "Pass names If-None-Match, which the cache handles itself", "leave it out"},

		{"8 cookies", shared(func(p *cache.Policy) { p.Cookies = numbered(8) }), "", ""},
		{"9 cookies", shared(func(p *cache.Policy) { p.Cookies = numbered(9) }), "9 cookies; at most 8", "at most 8"},
		{"no cookie name", shared(func(p *cache.Policy) { p.Cookies = []string{"a=b"} }), `"a=b", which is no cookie name`, "write for example theme"},
		{"a session cookie", shared(func(p *cache.Policy) { p.Cookies = []string{"sid"} }), `"sid" on shared-global: a session selects one user's answer`, "use per-user"},
		{"a session cookie in disguise", shared(func(p *cache.Policy) { p.Cookies = []string{"__Host-PHPSESSID"} }), "a session selects one user's answer", "use per-user"},
		{"a session cookie per user", cache.Policy{Class: cache.PerUser, User: user, Cookies: []string{"sid"}}, "", ""},

		{"no exception", shared(func(p *cache.Policy) { p.Query = keying.Except() }), "Query excepts nothing", "leave it out for the raw query"},
		{"no parameter", shared(func(p *cache.Policy) { p.Query = keying.Only() }), "", ""},
		{"128 parameters", shared(func(p *cache.Policy) { p.Query = keying.Only(numbered(128)...) }), "", ""},
		{"129 parameters", shared(func(p *cache.Policy) { p.Query = keying.Only(numbered(129)...) }), "Query names 129 parameters; at most 128", "at most 128"},

		{"status 200", shared(func(p *cache.Policy) { p.StatusTTL = map[int]time.Duration{200: 1} }), "StatusTTL has 200, whose lifetime is TTL", "leave it out"},
		{"status 404", shared(func(p *cache.Policy) { p.StatusTTL = map[int]time.Duration{404: year} }), "", ""},
		{"status 404 for ever", shared(func(p *cache.Policy) { p.StatusTTL = map[int]time.Duration{404: year + 1} }), "StatusTTL[404]", "at most a year"},
		{"status 404 for no time", shared(func(p *cache.Policy) { p.StatusTTL = map[int]time.Duration{404: 0} }), "StatusTTL[404] is 0s", "above zero"},

		{"64 tags", shared(func(p *cache.Policy) { p.Tags = numbered(64) }), "", ""},
		{"65 tags", shared(func(p *cache.Policy) { p.Tags = numbered(65) }), "there are 65 tags; at most 64", "at most 64"},
		{"an empty tag", shared(func(p *cache.Policy) { p.Tags = []string{""} }), "a tag is empty", "write for example product:{id}"},
		{"an open tag", shared(func(p *cache.Policy) { p.Tags = []string{"p:{id"} }), `tag "p:{id"`, "write for example product:{id}"},
		{"a nameless tag", shared(func(p *cache.Policy) { p.Tags = []string{"p:{}"} }), `tag "p:{}"`, "write for example product:{id}"},
		{"a tag within a tag", shared(func(p *cache.Policy) { p.Tags = []string{"p:{{id}}"} }), `tag "p:{{id}}"`, "write for example product:{id}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := fullCache(t)
			_, err := c.Compile(tt.policy, "GET /p")
			wantRefusal(t, err, `cache: route "GET /p": `, tt.fault, tt.remedy)
			wantRefusal(t, registered(c, tt.policy), fmt.Sprintf("cache: policy %q: ", tt.policy), tt.fault, tt.remedy)
			wantSameSentence(t, tt.policy, err)
		})
	}
}

// wantSameSentence wants the parser to refuse the policy's text, too, with the same words. It skips what only registration can
// know, because it depends on the Options, and policies that have no text.
func wantSameSentence(t *testing.T, p cache.Policy, refusal error) {
	t.Helper()
	_, err := cache.ParsePolicy(p.String())
	if refusal == nil {
		if err != nil {
			t.Errorf("it works, and its text does not: %v", err)
		}
		return
	}
	_, sentence, _ := strings.Cut(refusal.Error(), `": `)
	if err == nil && p.User == nil && !strings.Contains(sentence, "Options.User") || err != nil && !strings.Contains(err.Error(), sentence) && !unwritten(p) {
		t.Errorf("%s is refused when it is read: %v\nand when it is registered: %v", p, err, refusal)
	}
}

// unwritten reports whether the policy has a setting that text does not have.
func unwritten(p cache.Policy) bool {
	_, unknown := cache.ParsePolicy(p.Class.String())
	status, zero := p.StatusTTL[404]
	return unknown != nil || p.TTL < 0 || p.NearTTL < 0 || p.StaleWhileRevalidate < 0 || p.MaxRuns < 0 || p.MaxBody < 0 || zero && status == 0 ||
		strings.ContainsAny(p.Client, " \r") || strings.HasSuffix(p.String(), "except=")
}

// registered returns what Middleware panics with.
func registered(c *cache.Cache, p cache.Policy) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	c.Middleware(p)
	return nil
}

func wantRefusal(t *testing.T, err error, where, fault, remedy string) {
	t.Helper()
	if fault == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	if text := fmt.Sprint(err); !strings.HasPrefix(text, where) || !strings.Contains(text, fault) || !strings.Contains(text, remedy) {
		t.Errorf("%v\nwant %s… %s … %s", err, where, fault, remedy)
	}
}

// TestOnlySomeStatusesMayBeKept: no policy may store errors that depend on one request or on the moment.
func TestOnlySomeStatusesMayBeKept(t *testing.T) {
	c := fullCache(t)
	for status := range 700 {
		want := false
		switch status {
		case 203, 204, 300, 301, 302, 307, 308, 404, 410:
			want = true
		}
		if _, err := c.Compile(cache.Policy{Class: cache.SharedGlobal, StatusTTL: map[int]time.Duration{status: 1}}, ""); want != (err == nil) {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

// TestATagNeedsItsPathParameter, if the pattern is known.
func TestATagNeedsItsPathParameter(t *testing.T) {
	c := fullCache(t)
	for _, tt := range []struct {
		pattern, tag string
		missing      string // "": it works
	}{
		{"GET /p/{id}", "p:{id}", ""},
		{"GET /p/:id", "p:{id}", ""},
		{"/p/{id:[0-9]+}", "p:{id}", ""},
		{"/p/{path...}", "p:{path}", ""},
		{"/p/*", "p:{*}", ""},
		{"/{a}/{b}", "{a}-{b}", ""},
		{"/p", "p", ""},
		{"", "p:{id}", ""},
		{"/p", "p:{id}", "id"},
		{"/p/{ids}", "p:{id}", "id"},
		{"/p/{id}", "p:{ids}", "ids"},
		{"/{a}", "{a}-{b}", "b"},
		{"/p/id", "p:{id}", "id"},
	} {
		_, err := c.Compile(cache.Policy{Class: cache.SharedGlobal, Tags: []string{tt.tag}}, tt.pattern)
		if tt.missing == "" {
			wantRefusal(t, err, "", "", "")
			continue
		}
		wantRefusal(t, err, fmt.Sprintf("cache: route %q: tag %q needs a path parameter {%s}", tt.pattern, tt.tag, tt.missing), "which the route does not have", "correct one of them")
	}
}

func TestWithoutRedisOnlySharedGlobalWorks(t *testing.T) {
	c := newCache(t, cache.Options{User: keying.FromContext()})
	for class := cache.SharedGlobal; class <= cache.FleetShared; class++ {
		_, err := c.Compile(cache.Policy{Class: class}, "/p")
		if class == cache.SharedGlobal {
			wantRefusal(t, err, "", "", "")
			continue
		}
		wantRefusal(t, err, `cache: route "/p": `+class.String()+" lives in Redis and this cache has none", "set Options.Far", "or use shared-global")
	}
}

func TestTheCachesUserServesEveryPolicy(t *testing.T) {
	c := newCache(t, cache.Options{Far: memory(t), User: keying.FromContext()})
	_, err := c.Compile(cache.Policy{Class: cache.PerUser}, "")
	wantRefusal(t, err, "", "", "")
}

// TestALongNearTTLIsAWarning and no error.
func TestALongNearTTLIsAWarning(t *testing.T) {
	var seen []cache.Event
	c := newCache(t, cache.Options{Far: memory(t), Observe: func(ev cache.Event) { seen = append(seen, ev) }})
	for near, want := range map[time.Duration]int{0: 0, 10 * time.Second: 0, 10*time.Second + 1: 1} {
		seen = nil
		if _, err := c.Compile(cache.Policy{Class: cache.HotShared, NearTTL: near}, "/p"); err != nil {
			t.Error(err)
		}
		if len(seen) != want {
			t.Errorf("NearTTL %v: events %v, want %d", near, seen, want)
		}
		for _, ev := range seen {
			text := fmt.Sprint(ev.Err)
			ev.Err = nil
			if ev != (cache.Event{Class: cache.HotShared, Route: "/p", Outcome: cache.Warning, Reason: cache.ReasonNearTTL}) || !strings.Contains(text, `route "/p": its near TTL is`) || !strings.Contains(text, "shorten") {
				t.Errorf("event %+v: %s", ev, text)
			}
		}
	}
}

// TestAPolicyIsAValue: using it does not change it, and later changes by the caller have no effect.
func TestAPolicyIsAValue(t *testing.T) {
	p := cache.Policy{Class: cache.SharedGlobal, Vary: []string{"x-b", "x-a"}, Cookies: []string{"b", "a"}, Pass: []string{"x-c"}, Tags: []string{"t"},
		StatusTTL: map[int]time.Duration{404: time.Minute}}
	before := p.String()
	runs := 0
	h := fullCache(t).Middleware(p)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		runs++
		http.NotFound(w, r)
	}))
	if p.String() != before {
		t.Errorf("%s became %s", before, p)
	}
	p.Vary[0], p.Vary[1], p.Cookies[0], p.Pass[0], p.Tags[0] = "x-z", "x-z", "z", "x-z", "z"
	delete(p.StatusTTL, 404)
	for range 2 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	other := httptest.NewRequest("GET", "/", nil)
	other.Header.Set("X-B", "1")
	h.ServeHTTP(httptest.NewRecorder(), other)
	if runs != 2 {
		t.Errorf("%d runs for two answers that are kept", runs)
	}
}

// The functions that a policy names must be in the Options, and a policy has either a name or a function, not both.
func TestFunctionsThatPoliciesNameAreInTheOptions(t *testing.T) {
	tenant := func(r *http.Request) string { return r.Host }
	preview := func(r *http.Request) bool { return r.Header.Get("X-Preview") != "" }
	options := cache.Options{
		Skips: map[string]func(*http.Request) bool{"preview": preview, "never": preview},
		By:    map[string]func(*http.Request) string{"tenant": tenant, "a b": tenant},
	}
	c := newCache(t, options)
	for text, want := range map[string]string{
		"shared-global skip=preview by=tenant": "",
		"shared-global skip=previews":          `its SkipName is "previews", which Options.Skips does not have; it has never, preview`,
		"shared-global by=role":                `its VaryByName is "role", which Options.By does not have; it has a b, tenant`,
	} {
		p, err := cache.ParsePolicy(text)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Compile(p, "/x")
		wantRefusal(t, err, `cache: route "/x": `, want, "")
	}
	for _, p := range []cache.Policy{{Skip: preview, SkipName: "preview"}, {VaryBy: tenant, VaryByName: "tenant"}} {
		p.Class = cache.SharedGlobal
		_, err := c.Compile(p, "/x")
		wantRefusal(t, err, `cache: route "/x": `, "are both set", "leave one of them out")
	}
	_, err := newCache(t, cache.Options{}).Compile(cache.Policy{Class: cache.SharedGlobal, SkipName: "preview"}, "/x")
	wantRefusal(t, err, `cache: route "/x": `, `its SkipName is "preview"`, "it is empty: set it in the Options of this cache")
	if got := (cache.Policy{Class: cache.SharedGlobal, Skip: preview, VaryBy: tenant}).String(); got != "shared-global" {
		t.Errorf("functions are printed: %s", got)
	}
}
