package keys_test

import (
	"cmp"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dunglas/httpsfv"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
)

func TestNoVarySearch(t *testing.T) {
	tests := []struct {
		query keying.Query
		want  string
	}{
		{keying.Query{}, ""},
		{keying.Only("sort", "page"), `key-order, params, except=("page" "sort")`},
		{keying.Only("page", "page"), `key-order, params, except=("page")`},
		{keying.Only(""), `key-order, params, except=("")`},
		{keying.Only(), `params`},
		{keying.Only("page", "f_*"), `key-order`}, // f_x counts, and cannot be named
		{keying.Only("*"), `key-order`},
		{keying.Except("utm_source", "ref"), `key-order, params=("ref" "utm_source")`},
		{keying.Except("utm_*", "ref"), `key-order, params=("ref")`},
		{keying.Except("utm_*"), `key-order`},
		{keying.Except(), `key-order`},
		{keying.Except(`a"b\c`, "a+b", "a b", "100%", "é 気"), `key-order, params=("100%25" "a+b" "a%22b%5Cc" "a%2Bb" "%C3%A9+%E6%B0%97")`},
		{keying.Except("\xff", "\xc3\xa9", "\ufffd"), `key-order, params=("%C3%A9")`},
		{keying.Only("\xff"), `key-order`}, // would be taken for every other name that is no UTF-8
		{keying.Only("a", "\ufffd"), `key-order`},
	}
	for _, tt := range tests {
		if got := keys.NoVarySearch(tt.query); got != tt.want {
			names, only := tt.query.Names()
			t.Errorf("%q (only: %t): %s; want %s", names, only, got, tt.want)
		}
	}
}

// TestNoVarySearchIsWhatBrowsersRead: they ignore except without params beside it, and so all that the header says.
func TestNoVarySearchIsWhatBrowsersRead(t *testing.T) {
	for _, q := range []keying.Query{keying.Only(), keying.Only("a"), keying.Only("a", "b"), keying.Only("")} {
		members, err := httpsfv.UnmarshalDictionary([]string{keys.NoVarySearch(q)})
		if err != nil {
			t.Fatal(err)
		}
		params, ok := members.Get("params")
		if item, all := params.(httpsfv.Item); !ok || !all || item.Value != true {
			t.Errorf("%s: params is %v; want true", keys.NoVarySearch(q), params)
		}
	}
}

// variance is what a No-Vary-Search header says.
type variance struct {
	order         bool // the order of names counts
	params        []string
	except        []string
	listed, whole bool // those in params do not count; none but those in except do
}

// parseVariance reads the header as drafts do and have done, and as browsers do: except stands alone, or beside params. It
// refuses what none of them would heed.
func parseVariance(t *testing.T, header string) variance {
	members, err := httpsfv.UnmarshalDictionary([]string{header})
	if err != nil {
		t.Fatalf("%q: %v", header, err)
	}
	v := variance{order: true}
	for _, key := range members.Names() {
		member, _ := members.Get(key)
		switch key {
		case "key-order":
			v.order = member.(httpsfv.Item).Value != true
		case "params":
			if _, all := member.(httpsfv.Item); all {
				v.whole = true
				continue
			}
			v.listed, v.params = true, parseNames(member)
		case "except":
			v.whole, v.except = true, parseNames(member)
		default:
			t.Fatalf("%q has the member %q", header, key)
		}
	}
	if v.listed && v.whole {
		t.Fatalf("%q names both what counts and what does not", header)
	}
	return v
}

func parseNames(member httpsfv.Member) (names []string) {
	for _, item := range member.(httpsfv.InnerList).Items {
		names = append(names, decodeForm(item.Value.(string)))
	}
	return names
}

// decodeForm decodes a name or value as browsers do: what is no escape stays, what is no UTF-8 becomes U+FFFD.
func decodeForm(text string) string {
	text = strings.ReplaceAll(text, "+", " ")
	var decoded strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if c, err := url.PathUnescape(text[i : i+3]); err == nil {
				decoded.WriteString(c)
				i += 2
				continue
			}
		}
		decoded.WriteByte(text[i])
	}
	return string([]rune(decoded.String()))
}

// significant are the parameters that count, as the draft's comparison leaves them.
func (v variance) significant(raw string) (params [][2]string) {
	for text := range strings.SplitSeq(raw, "&") {
		if text == "" {
			continue
		}
		name, value, _ := strings.Cut(text, "=")
		name, value = decodeForm(name), decodeForm(value)
		if v.listed && slices.Contains(v.params, name) || v.whole && !slices.Contains(v.except, name) {
			continue
		}
		params = append(params, [2]string{name, value})
	}
	if !v.order {
		slices.SortStableFunc(params, func(a, b [2]string) int { return cmp.Compare(a[0], b[0]) })
	}
	return params
}

// respelled is the query with every parameter written in one way.
func respelled(raw string) string {
	var texts []string
	for text := range strings.SplitSeq(raw, "&") {
		if text != "" {
			name, value, _ := strings.Cut(text, "=")
			texts = append(texts, url.QueryEscape(decodeForm(name))+"="+url.QueryEscape(decodeForm(value)))
		}
	}
	return strings.Join(texts, "&")
}

// FuzzNoVarySearch: of two queries that the header calls equal, a handler that reads forms sees the same, and written
// alike they have the same key.
func FuzzNoVarySearch(f *testing.F) {
	for _, seed := range []struct{ raw1, raw2, names string }{
		{"page=1&sort=a&utm_source=x", "sort=a&ref=y&page=1", "page,sort"},
		{"a=1&b=2&a=3", "b=2&a=1&a=3", "b,utm_*"},
		{"a=1&a=2", "a=2&a=1", "a"},
		{"%61=1&&a", "a=1&a=", ""},
		{"a+b=1&c%2Bd=2", "c%2Bd=3&a%20b=1", "c+d,a b"},
		{"%ff=1&%C3%A9=2", "%fe=1&é=2", "\xff,é,\ufffd"},
		{`x"=1&y\=2`, `y\=2`, `x",y\`},
		{"f_a=1&f_b=2&*=3", "f_b=2&f_a=1", "f_*,*"},
	} {
		for mode := range uint8(3) {
			f.Add(seed.raw1, seed.raw2, seed.names, mode, uint64(mode))
		}
	}
	f.Fuzz(func(t *testing.T, raw1, raw2, names string, mode uint8, seed uint64) {
		var q keying.Query
		switch list := strings.Split(names, ","); mode % 3 {
		case 0:
			q = keying.Only(list...)
		case 1:
			q = keying.Except(list...)
		case 2:
			q = keying.Only()
		}
		v := parseVariance(t, keys.NoVarySearch(q))
		fuzzEqual(t, q, v, raw1, raw2)
		mixed := strings.Split(raw1+"&"+raw2, "&") // equal more often than what is made up
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		fuzzEqual(t, q, v, raw1+"&"+raw2, strings.Join(mixed, "&"))
		fuzzEqual(t, q, v, raw1, raw1+"&"+raw2)
	})
}

func fuzzEqual(t *testing.T, q keying.Query, v variance, raw1, raw2 string) {
	if !slices.Equal(v.significant(raw1), v.significant(raw2)) {
		return
	}
	s := compiled(keys.Scheme{Query: q})
	key1, _, ok1 := fuzzForm(s, respelled(raw1))
	key2, _, ok2 := fuzzForm(s, respelled(raw2))
	if ok1 && ok2 && key1 != key2 {
		t.Errorf("%q and %q are equal by %q, and have two keys", raw1, raw2, keys.NoVarySearch(q))
	}
	_, seen1, ok1 := fuzzForm(s, raw1)
	_, seen2, ok2 := fuzzForm(s, raw2)
	if !ok1 || !ok2 {
		return // not kept
	}
	form1, err1 := url.ParseQuery(seen1)
	form2, err2 := url.ParseQuery(seen2)
	if err1 != nil || err2 != nil || !reflect.DeepEqual(replaced(form1), replaced(form2)) {
		t.Errorf("%q and %q are equal by %q, and a handler sees %v and %v (%v, %v)", raw1, raw2, keys.NoVarySearch(q), form1, form2, err1, err2)
	}
}

// fuzzForm returns the key of a request with the query, and the query that its handler sees.
func fuzzForm(s *keys.Scheme, raw string) (key keying.Key, seen string, ok bool) {
	r := &http.Request{Method: "GET", Host: "h", URL: &url.URL{Path: "/", RawQuery: raw}, Header: http.Header{}}
	key, err := s.Key(r, "", "", "")
	if err != nil {
		return key, "", false
	}
	return key, s.View(r).URL.RawQuery, true
}

// replaced is the form without what the draft lets no origin tell apart: bytes that are no UTF-8.
func replaced(form url.Values) map[string][]string {
	alike := map[string][]string{}
	for name, values := range form {
		if strings.ContainsRune(name, utf8.RuneError) { // also of what is no UTF-8
			continue
		}
		for _, value := range values {
			alike[name] = append(alike[name], string([]rune(value)))
		}
	}
	return alike
}
