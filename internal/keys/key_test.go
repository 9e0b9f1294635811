package keys_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
)

// TestDistinctRequestsHaveDistinctKeys plays what an app can tell apart: of n requests every one has a key of its own,
// and the key it has when it is asked again.
func TestDistinctRequestsHaveDistinctKeys(t *testing.T) {
	varies := keys.Scheme{Headers: []string{"Accept-Language", "X-T"}}
	tests := []struct {
		name     string
		scheme   keys.Scheme
		requests func(t *testing.T) []*http.Request
	}{
		{"query", keys.Scheme{}, targets("/", "/?", "/?id=1", "/?id=2", "/?ID=1", "/?id=1&", "/?id", "/?id=", "/?%69d=1")},
		{"order of values", keys.Scheme{}, targets("/?a=1&a=2", "/?a=2&a=1", "/?a=1%262", "/?a=1,2", "/?a=1&b=2", "/?b=2&a=1")},
		{"order of values, chosen parameters", keys.Scheme{Query: keying.Only("a")},
			targets("/?a=1&a=2", "/?a=2&a=1", "/?a=1%262", "/?a", "/?a=", "/?", "/?%61=1")},
		{"escaped path", keys.Scheme{}, targets("/u/a%2Fb", "/u/a%2fb", "/u/a/b", "/u/%61/b", "/u/a%252Fb", "/u/a%5Cb", "/u/a%3Bb", "/u/a;b", "/u/a%3Fb", "/u/a%00b")},
		{"dots and slashes", keys.Scheme{}, targets("/a/", "/a", "/a//", "/a/./", "/a/../a", "/a/%2e%2e/a", "//a")},
		{"path case", keys.Scheme{}, targets("/Case", "/case")},
		{"path and query meet", keys.Scheme{}, targets("/a%3Fb=1", "/a?b=1", "/a?b=1%3F", "/a??b=1")},
		{"header lines", varies, lines([]string{"X-T: a", "X-T: b"}, []string{"X-T: b", "X-T: a"}, []string{"X-T: a"}, []string{"X-T: a, b"},
			[]string{"X-T:"}, []string{"X-T:", "X-T:"}, nil, []string{"X-T: ab"})},
		{"header values do not move", varies, lines([]string{"X-T: en"}, []string{"Accept-Language: en"}, []string{"X-T: en", "Accept-Language: en"})},
		{"header case", varies, lines([]string{"X-T: en"}, []string{"X-T: EN"})},
		{"cookies", keys.Scheme{Cookies: []string{"lang", "theme"}}, lines(nil, []string{"Cookie: theme=dark"}, []string{"Cookie: theme=light"},
			[]string{"Cookie: theme"}, []string{"Cookie: theme="}, []string{`Cookie: theme="dark"`}, []string{"Cookie: lang=dark"},
			[]string{"Cookie: theme=a; theme=b"}, []string{"Cookie: theme=b; theme=a"}, []string{"Cookie: theme=a; theme=b; lang=a"})},
		{"host", keys.Scheme{}, lines([]string{"Host: a"}, []string{"Host: b"}, []string{"Host: A"}, []string{"Host: a:80"})},
		{"scheme", keys.Scheme{}, func(t *testing.T) []*http.Request {
			return []*http.Request{request(t, "/"), over(request(t, "/"))}
		}},
		{"what a proxy says, trusted", keys.Scheme{TrustProxy: true}, lines(nil, []string{"X-Forwarded-Proto: https"}, []string{"X-Forwarded-Proto: http"},
			[]string{"X-Forwarded-Host: evil"}, []string{"X-Forwarded-Host: https"})},
		{"prefix stripped", keys.Scheme{}, func(t *testing.T) []*http.Request {
			return []*http.Request{request(t, "/x"), stripped(request(t, "/a/x"), "/a"), stripped(request(t, "/b/x"), "/b"), request(t, "/a/x")}
		}},
		{"prefix and path have a boundary", keys.Scheme{}, func(t *testing.T) []*http.Request {
			return []*http.Request{stripped(request(t, "/a/bc"), "/a"), stripped(request(t, "/ab/c"), "/ab"), stripped(request(t, "/a/b/c"), "/a/b")}
		}},
		{"raw path", keys.Scheme{}, func(t *testing.T) []*http.Request {
			plain, rewritten := request(t, "/x"), request(t, "/x")
			rewritten.URL.RawPath = "/y%2Fz" // a rewriter that forgot it: no encoding of the path, but there to be seen
			return []*http.Request{plain, rewritten}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := compiled(tt.scheme)
			whose := map[keying.Key]int{}
			requests := tt.requests(t)
			for i, r := range requests {
				key := mustKey(t, s, r, "")
				if key == (keying.Key{}) {
					t.Errorf("request %d has the zero key", i)
				}
				if j, taken := whose[key]; taken {
					t.Errorf("request %d (%s %v) shares its key with %d (%s %v)", i, r.RequestURI, r.Header, j, requests[j].RequestURI, requests[j].Header)
				}
				whose[key] = i
				if again := mustKey(t, s, r, ""); again != key {
					t.Errorf("request %d has another key when asked again", i)
				}
			}
		})
	}
}

func targets(targets ...string) func(*testing.T) []*http.Request {
	return func(t *testing.T) (requests []*http.Request) {
		for _, target := range targets {
			requests = append(requests, request(t, target))
		}
		return requests
	}
}

func lines(lines ...[]string) func(*testing.T) []*http.Request {
	return func(t *testing.T) (requests []*http.Request) {
		for _, l := range lines {
			requests = append(requests, request(t, "/", l...))
		}
		return requests
	}
}

// TestWhatIsHiddenSelectsNothing plays requests that differ only in what handlers of shared answers cannot see, or see
// by agreement.
func TestWhatIsHiddenSelectsNothing(t *testing.T) {
	only := keys.Scheme{Query: keying.Only("page", "f_*"), Cookies: []string{"theme"}, Headers: []string{"Accept"}, Pass: []string{"User-Agent"}}
	head := func(t *testing.T) *http.Request { r := request(t, "/"); r.Method = "HEAD"; return r }
	tests := []struct {
		name     string
		scheme   keys.Scheme
		requests func(t *testing.T) []*http.Request
	}{
		{"unkeyed headers", keys.Scheme{}, lines(nil, []string{"X-Forwarded-Host: evil"}, []string{"X-Original-Url: /evil", "X-Rewrite-Url: /evil", "X-Host: evil"},
			[]string{"Accept: a"}, []string{"Cookie: sid=alice"}, []string{"Traceparent: 00-1"}, []string{"Range: bytes=0-1", "If-None-Match: \"x\""}, []string{"Connection: close"})},
		{"dropped parameters", only, targets("/?page=1&f_a=2", "/?f_a=2&page=1", "/?utm_source=x&page=1&f_a=2", "/?page=1&&f_a=2&", "/?page=1&f_a=2&PAGE=9")},
		{"excepted parameters", keys.Scheme{Query: keying.Except("utm_*", "gclid")}, targets("/?b=1&a=2", "/?a=2&b=1&utm_source=x", "/?gclid=1&a=2&b=1&%75tm_medium=y")},
		{"no parameter at all", keys.Scheme{Query: keying.Only()}, targets("/", "/?", "/?a=1", "/?b")},
		{"other cookies", only, lines([]string{"Cookie: theme=a"}, []string{"Cookie: sid=1; theme=a"}, []string{"Cookie: sid=1", "Cookie:  theme=a ;x=y"})},
		{"cookies of different names in another order", keys.Scheme{Cookies: []string{"a", "b"}},
			lines([]string{"Cookie: a=1; b=2"}, []string{"Cookie: b=2; a=1"}, []string{"Cookie: b=2", "Cookie: a=1"})},
		{"pass", only, lines([]string{"User-Agent: a"}, []string{"User-Agent: b"}, nil)},
		{"absolute form", keys.Scheme{}, targets("/x?y", "http://shop.example/x?y", "https://user:pw@shop.example/x?y")},
		{"head", keys.Scheme{}, func(t *testing.T) []*http.Request { return []*http.Request{request(t, "/"), head(t)} }},
		{"what a proxy says, not trusted", keys.Scheme{}, lines(nil, []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: evil"}, []string{"Forwarded: proto=https"})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := compiled(tt.scheme)
			requests := tt.requests(t)
			want := mustKey(t, s, requests[0], "")
			for i, r := range requests[1:] {
				if mustKey(t, s, r, "") != want {
					t.Errorf("request %d (%s %v) has a key of its own", i+1, r.RequestURI, r.Header)
				}
			}
		})
	}
}

// TestEveryPartOfASchemeSelects has one request and many schemes, patterns and users: all keys differ, so that an answer
// that was kept under another policy is never found.
func TestEveryPartOfASchemeSelects(t *testing.T) {
	r := request(t, "/x?a=1", "X-A: 1", "X-B: 1", "Cookie: a=1; b=1")
	r.Header["X-Forwarded-Proto"] = []string{"1"}
	type variant struct {
		name          string
		scheme        keys.Scheme
		pattern, user string
		by            string
	}
	secret := func(b string) []byte { return []byte(strings.Repeat(b, 32)) }
	variants := []variant{
		{"plain", keys.Scheme{}, "GET /x", "", ""},
		{"another class", keys.Scheme{Realm: "per-user"}, "GET /x", "", ""},
		{"another pattern", keys.Scheme{}, "GET /{x}", "", ""},
		{"no pattern", keys.Scheme{}, "", "", ""},
		{"alice", keys.Scheme{}, "GET /x", "alice", ""},
		{"Alice", keys.Scheme{}, "GET /x", "Alice", ""},
		{"pattern and user meet", keys.Scheme{}, "GET /", "xalice", ""},
		{"by X-A", keys.Scheme{Headers: []string{"X-A"}}, "GET /x", "", ""},
		{"by X-B", keys.Scheme{Headers: []string{"X-B"}}, "GET /x", "", ""},
		{"by X-A and X-B", keys.Scheme{Headers: []string{"X-A", "X-B"}}, "GET /x", "", ""},
		{"by an absent header", keys.Scheme{Headers: []string{"X-C"}}, "GET /x", "", ""},
		{"by cookie a", keys.Scheme{Cookies: []string{"a"}}, "GET /x", "", ""},
		{"by cookie b", keys.Scheme{Cookies: []string{"b"}}, "GET /x", "", ""},
		{"by proxy", keys.Scheme{TrustProxy: true}, "GET /x", "", ""},
		{"secret", keys.Scheme{Secret: secret("s")}, "GET /x", "", ""},
		{"another secret", keys.Scheme{Secret: secret("t")}, "GET /x", "", ""},
		{"by a function", keys.Scheme{By: "tenant"}, "GET /x", "", ""},
		{"by a function that says something", keys.Scheme{By: "tenant"}, "GET /x", "", "a"},
		{"by a function that says more", keys.Scheme{By: "tenant"}, "GET /x", "", "ab"},
		{"by another function", keys.Scheme{By: "role"}, "GET /x", "", "a"},
		{"alice by a function", keys.Scheme{By: "tenant"}, "GET /x", "alice", ""},
		{"a function that says alice", keys.Scheme{By: "tenant"}, "GET /x", "", "alice"},
		{"by a function and a header", keys.Scheme{By: "tenant", Headers: []string{"X-A"}}, "GET /x", "", "a"},
	}
	whose := map[keying.Key]string{}
	for _, v := range variants {
		key, err := compiled(v.scheme).Key(r, v.pattern, v.user, v.by)
		if err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		if other, taken := whose[key]; taken {
			t.Errorf("%q and %q have one key", v.name, other)
		}
		whose[key] = v.name
	}
}

// TestTheSecretIsCopied: whoever wipes it later changes no key.
func TestTheSecretIsCopied(t *testing.T) {
	secret := []byte(strings.Repeat("s", 32))
	s, namer, labeler := compiled(keys.Scheme{Secret: secret}), keys.NewNamer(secret), keys.NewLabeler(secret)
	ask := func() [3]string {
		label := labeler.Tag("a")
		return [3]string{mustKey(t, s, request(t, "/"), "").String(), namer.Key("r", "n", "i", "u").String(), string(label[:])}
	}
	before := ask()
	clear(secret)
	if after := ask(); after != before {
		t.Error("keys change with the caller's bytes")
	}
}

// TestAnAmbiguousQueryHasNoKey: what parsers read differently is never kept.
func TestAnAmbiguousQueryHasNoKey(t *testing.T) {
	for _, query := range []string{"a=1;x=evil", ";", "a=%", "a=%4", "a=%zz", "a=%00", "a%00=1", "%", "a=%4g", "a=\x00", "a=\n", "a=\x7f", "a=%0"} {
		for name, scheme := range map[string]keys.Scheme{"raw": {}, "only": {Query: keying.Only("b")}, "except": {Query: keying.Except("b")}} {
			r := request(t, "/x")
			r.URL.RawQuery = query
			if key, err := compiled(scheme).Key(r, "", "", ""); err == nil || key != (keying.Key{}) {
				t.Errorf("%s: query %q: Key = %v, %v; want none and an error", name, query, key, err)
			}
		}
	}
}

func TestAtMostMaxParams(t *testing.T) {
	for _, tt := range []struct {
		params int
		ok     bool
	}{{keys.MaxParams - 1, true}, {keys.MaxParams, true}, {keys.MaxParams + 1, false}} {
		query := strings.TrimSuffix(strings.Repeat("a=1&", tt.params), "&")
		for _, q := range []keying.Query{{}, keying.Only(), keying.Except("a")} {
			_, err := compiled(keys.Scheme{Query: q}).Key(request(t, "/?"+query), "", "", "")
			if tt.ok != (err == nil) || !tt.ok && !errors.Is(err, keys.ErrTooLarge) {
				t.Errorf("%d parameters: %v", tt.params, err)
			}
		}
	}
}

// TestAtMostMaxInput finds for every field how long it may be: a byte more has no key, and the bound is the documented
// one, less the length prefixes and the other fields.
func TestAtMostMaxInput(t *testing.T) {
	s := compiled(keys.Scheme{Headers: []string{"X-T"}, Cookies: []string{"theme"}})
	fields := map[string]func(r *http.Request, text string) (user string){
		"path":   func(r *http.Request, text string) string { r.URL.Path, r.RequestURI = "/"+text, "/"; return "" },
		"target": func(r *http.Request, text string) string { r.RequestURI = "/" + text; return "" },
		"query":  func(r *http.Request, text string) string { r.URL.RawQuery = text; return "" },
		"host":   func(r *http.Request, text string) string { r.Host = text; return "" },
		"header": func(r *http.Request, text string) string { r.Header.Set("X-T", text); return "" },
		"cookie": func(r *http.Request, text string) string { r.Header.Set("Cookie", "theme="+text); return "" },
		"user":   func(_ *http.Request, text string) string { return text },
	}
	for name, set := range fields {
		t.Run(name, func(t *testing.T) {
			most := 0
			for n := keys.MaxInput - 256; n <= keys.MaxInput+1; n++ {
				r := request(t, "/")
				user := set(r, strings.Repeat("x", n))
				_, err := s.Key(r, "GET /", user, "")
				switch {
				case err == nil && most != 0 && most != n-1:
					t.Fatalf("%d bytes have a key although %d have none", n, most+1)
				case err == nil:
					most = n
				case !errors.Is(err, keys.ErrTooLarge):
					t.Fatalf("%d bytes: %v", n, err)
				}
			}
			if most == 0 || most >= keys.MaxInput {
				t.Errorf("at most %d bytes have a key, want a little less than %d", most, keys.MaxInput)
			}
		})
	}
}

// TestManyLinesCount: lines without a byte in them count too.
func TestManyLinesCount(t *testing.T) {
	r := request(t, "/")
	r.Header["X-T"] = make([]string, keys.MaxInput)
	if _, err := compiled(keys.Scheme{Headers: []string{"X-T"}}).Key(r, "", "", ""); !errors.Is(err, keys.ErrTooLarge) {
		t.Errorf("%d empty lines: %v, want ErrTooLarge", keys.MaxInput, err)
	}
}

func TestKeyAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools forget under the race detector")
	}
	r := request(t, "/products/7?page=2&sort=name", "Accept-Language: en", "Cookie: sid=1; theme=dark")
	for name, scheme := range map[string]keys.Scheme{
		"raw query": {Headers: []string{"Accept-Language"}},
		"cookie":    {Cookies: []string{"theme"}},
		"secret":    {Headers: []string{"Accept-Language"}, Secret: []byte(strings.Repeat("s", 32))},
	} {
		s := compiled(scheme)
		if n := testing.AllocsPerRun(1000, func() { _, _ = s.Key(r, "GET /products/{id}", "", "") }); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func TestNamerKeysDiffer(t *testing.T) {
	plain, secret := keys.NewNamer(nil), keys.NewNamer([]byte(strings.Repeat("s", 32)))
	all := map[keying.Key]bool{}
	n := 0
	for _, namer := range []keys.Namer{plain, secret} {
		for _, f := range [][4]string{{"r", "n", "i", "u"}, {"rn", "", "i", "u"}, {"r", "ni", "", "u"}, {"r", "n", "iu", ""}, {"r", "n", "", "iu"}, {"", "", "", ""}} {
			all[namer.Key(f[0], f[1], f[2], f[3])] = true
			n++
		}
	}
	if len(all) != n {
		t.Errorf("%d keys for %d values", len(all), n)
	}
	if plain.Key("r", "n", "i", "u") != (keys.Namer{}).Key("r", "n", "i", "u") {
		t.Error("the zero Namer is not the one without a secret")
	}
}

func TestKeyStringIsBase64URL(t *testing.T) {
	if got := (keying.Key{0xff, 0xef, 0xbe}).String(); len(got) != 43 || !strings.HasPrefix(got, "_-__"[:1]) || strings.ContainsAny(got, "+/=") {
		t.Errorf("String = %q, want 43 characters of base64url", got)
	}
	k := keying.Key{7, 0xff}
	if got, err := k.AppendText([]byte("a:")); err != nil || string(got) != "a:"+k.String() {
		t.Errorf("AppendText = %q, %v; want what String returns", got, err)
	}
}

// TestAFunctionsTextIsBounded: what is longer has no key.
func TestAFunctionsTextIsBounded(t *testing.T) {
	s, r := compiled(keys.Scheme{By: "tenant"}), request(t, "/")
	if _, err := s.Key(r, "", "", strings.Repeat("x", keys.MaxBy)); err != nil {
		t.Errorf("the longest text: %v", err)
	}
	if _, err := s.Key(r, "", "", strings.Repeat("x", keys.MaxBy+1)); !errors.Is(err, keys.ErrTooLarge) {
		t.Errorf("a longer text: %v; want ErrTooLarge", err)
	}
	if !s.Varies() {
		t.Error("a URL has one answer, whatever the function says")
	}
}
