package keys_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
)

// fuzzSchemes share a realm: nothing but what they select keeps their answers apart.
func fuzzSchemes() []*keys.Scheme {
	return []*keys.Scheme{
		compiled(keys.Scheme{}),
		compiled(keys.Scheme{Headers: []string{"Accept", "X-T"}, Pass: []string{"User-Agent"}}),
		compiled(keys.Scheme{Headers: []string{"X-T"}, Cookies: []string{"a", "b"}}),
		compiled(keys.Scheme{Cookies: []string{"b"}, Query: keying.Only("a", "p*")}),
		compiled(keys.Scheme{Query: keying.Except("a", "utm_*"), TrustProxy: true}),
		compiled(keys.Scheme{Query: keying.Only(), Headers: []string{"Accept"}}),
	}
}

// fuzzRequest reads a request as a server does, and bends it as middleware does: bits of the mode say how.
func fuzzRequest(target, head string, mode uint8) *http.Request {
	r, err := readRequest(target, strings.Split(head, "\n")...)
	if err != nil {
		return nil
	}
	if mode&1 != 0 {
		over(r)
	}
	if mode&2 != 0 {
		r = stripped(r, "/a")
	}
	if mode&4 != 0 {
		r.URL.Path = "/rewritten" // and RawPath forgotten
	}
	if mode&8 != 0 {
		r.RequestURI = "" // as no server has read it
	}
	if mode&16 != 0 {
		r.RemoteAddr = "192.0.2.1:1234"
		_ = r.ParseForm()
	}
	return r
}

// FuzzKey: two requests that a handler can tell apart never share a key, under one scheme or two; a view has the key of
// its request and is seen as it is; and nothing changes the request.
func FuzzKey(f *testing.F) {
	type side struct {
		target, head string
		mode, scheme uint8
	}
	sides := []side{
		{"/a/b?a=1&p=2", "Host: h\nX-T: 1\nAccept: x\nCookie: a=1; b=2", 0, 1},
		{"/a/b?p=2&a=1", "Host: h\nX-T: 1\nX-T: 2\nCookie: b=2\nCookie: a=1", 1, 2},
		{"/a%2Fb?", "Host: h\nX-Forwarded-Proto: https\nTraceparent: 1", 2, 4},
		{"http://user@h/a//b?utm_x=1&a=%41;", "Host: h\nUser-Agent: x\nConnection: close", 5, 3},
		{"x:opaque?q", "Host: h\nCookie: a; =b; a=\"x\"", 8, 0},
		{"/?a&a=&&=a&+=1", "Host: h", 31, 5},
	}
	for i, x := range sides {
		y := sides[(i+1)%len(sides)]
		f.Add(x.target, x.head, x.mode, x.scheme, x.target, x.head, x.mode, x.scheme)
		f.Add(x.target, x.head, x.mode, x.scheme, y.target, y.head, y.mode, y.scheme)
		f.Add(x.target, x.head, x.mode, x.scheme, x.target, y.head, x.mode, x.scheme)
	}
	schemes := fuzzSchemes()
	f.Fuzz(func(t *testing.T, target1, head1 string, mode1, scheme1 uint8, target2, head2 string, mode2, scheme2 uint8) {
		s1, s2 := schemes[int(scheme1)%len(schemes)], schemes[int(scheme2)%len(schemes)]
		key1, seen1, ok1 := fuzzView(t, s1, fuzzRequest(target1, head1, mode1))
		key2, seen2, ok2 := fuzzView(t, s2, fuzzRequest(target2, head2, mode2))
		if ok1 && ok2 && key1 == key2 && !reflect.DeepEqual(seen1, seen2) {
			t.Errorf("one key, but a handler sees\n%+v\n%+v", seen1, seen2)
		}
	})
}

// fuzzView checks what holds for one request, and returns its key and what a handler sees of it.
func fuzzView(t *testing.T, s *keys.Scheme, r *http.Request) (key keying.Key, seen map[string]any, ok bool) {
	if r == nil {
		return key, nil, false
	}
	before := snapshot(r)
	key, err := s.Key(r, "GET /", "", "")
	v := s.View(r)
	sameRequest(t, before, r)
	if err != nil {
		if key != (keying.Key{}) {
			t.Errorf("a key in spite of %v", err)
		}
		return key, nil, false
	}
	again, err := s.Key(v, "GET /", "", "")
	if err != nil || again != key {
		t.Errorf("the view of %s %q has another key (%v)", r.RequestURI, r.URL, err)
	}
	seen = sight(s, v)
	if twice := sight(s, s.View(v)); !reflect.DeepEqual(seen, twice) {
		t.Errorf("the view of a view is another:\n%+v\n%+v", seen, twice)
	}
	return key, seen, true
}

// FuzzQuery: what is accepted keeps exactly the pairs that select, values of one name in their order, and is read alike
// before and after by url.ParseQuery; what is kept once is kept as it is.
func FuzzQuery(f *testing.F) {
	for _, raw := range []string{"", "a=1&b=2&a=0", "&&=&a", "utm_x=1&%61=2&a+b=3", "a=1;b=2", "a=%", "%00", "b=%3B&a=%26", "a=\xff&\xff=b", "a==b=&=a"} {
		f.Add(raw, "a", "utm_")
	}
	f.Fuzz(func(t *testing.T, raw, name, prefix string) {
		if strings.HasSuffix(name, "*") {
			return // a prefix itself
		}
		named := func(n string) bool { return n == name || strings.HasPrefix(n, prefix) }
		fuzzQuery(t, keying.Only(name, prefix+"*"), raw, named)
		fuzzQuery(t, keying.Except(name, prefix+"*"), raw, func(n string) bool { return !named(n) })
	})
}

func fuzzQuery(t *testing.T, q keying.Query, raw string, keeps func(string) bool) {
	s := compiled(keys.Scheme{Query: q})
	r := &http.Request{Method: "GET", Host: "h", URL: &url.URL{Path: "/", RawQuery: raw}, Header: http.Header{}}
	if _, err := s.Key(r, "", "", ""); err != nil {
		return
	}
	before, err := url.ParseQuery(raw)
	if err != nil {
		t.Fatalf("%q is accepted, and net/url refuses it: %v", raw, err)
	}
	v := s.View(r)
	after, err := url.ParseQuery(v.URL.RawQuery)
	if err != nil {
		t.Fatalf("%q became %q, which net/url refuses: %v", raw, v.URL.RawQuery, err)
	}
	for name := range before {
		if !keeps(name) {
			delete(before, name)
		}
	}
	if !reflect.DeepEqual(before, after) {
		t.Errorf("%q became %q: %v, want %v", raw, v.URL.RawQuery, after, before)
	}
	if again := s.View(v).URL.RawQuery; again != v.URL.RawQuery {
		t.Errorf("%q became %q, and that became %q", raw, v.URL.RawQuery, again)
	}
	want := pairs(raw, keeps)
	got := pairs(v.URL.RawQuery, func(string) bool { return true })
	if !slices.IsSortedFunc(got, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) }) {
		t.Errorf("%q became %q, which is not in order of names", raw, v.URL.RawQuery)
	}
	slices.SortStableFunc(want, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	if !slices.Equal(got, want) {
		t.Errorf("%q became %q: pairs %q, want %q", raw, v.URL.RawQuery, got, want)
	}
}

// pairs are the decoded names and texts of the pairs that are kept, in their order.
func pairs(raw string, keeps func(string) bool) (kept [][2]string) {
	for text := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(text, "=")
		if name, err := url.QueryUnescape(name); err == nil && text != "" && keeps(name) {
			kept = append(kept, [2]string{name, text})
		}
	}
	return kept
}

// FuzzSpellings: a URL keeps its label when more of it is escaped, when it is written as labels have it, and when dots are
// put in; and what labels have is a path that is read as it was written.
func FuzzSpellings(f *testing.F) {
	f.Add("/a/b%2Fc", "x=1&y=%7e", "Shop.example:80")
	f.Add("/../a|b/%2e%2E/.", "a=b;c&&=", "[::1%25a]:")
	f.Add("a//é%zz%", "%", ".:0")
	f.Fuzz(func(t *testing.T, path, query, host string) {
		u, err := url.ParseRequestURI("/" + strings.TrimPrefix(path, "/"))
		if err != nil || u.RawQuery != "" || u.ForceQuery {
			return
		}
		u.RawQuery = query
		var l keys.Labeler
		label, normal := l.URL(u), keys.Path(u)
		again, err := url.ParseRequestURI(normal)
		if err != nil || keys.Path(again) != normal || again.EscapedPath() != normal {
			t.Fatalf("%q is spelt %q, which is read as %v, %v", path, normal, again, err)
		}
		again.RawQuery = query
		written := cmp.Or(u.RawPath, u.EscapedPath())
		more := url.URL{Path: u.Path, RawPath: escapeAll(written), RawQuery: query}
		dots := url.URL{Path: "/./x/.." + u.Path, RawPath: "/%2e/x/.%2E" + escapeAll(written), RawQuery: query}
		for _, same := range []*url.URL{again, &more, &dots} {
			if l.URL(same) != label || l.Place(keys.Path(same)) != l.Place(normal) {
				t.Errorf("%v and %v have labels of their own", u, same)
			}
		}
		there := func(scheme, host string) keying.Label { _, label := l.URLs(u, scheme, host); return label }
		if host != "" && !strings.Contains(host, ":") && there("http", host) != there("HTTP", host+":80") {
			t.Errorf("%q has another label with http's port", host)
		}
	})
}

// escapeAll puts an escape, in lower case, in place of each byte of a path that is none and no slash.
func escapeAll(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; c {
		case '/':
			b.WriteByte(c)
		case '%':
			b.WriteString(strings.ToLower(path[i : i+3]))
			i += 2
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}
