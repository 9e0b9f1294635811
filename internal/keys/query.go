package keys

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/larder-go/cache/keying"
)

// errQuery marks a query that net/url and other parsers read differently; such a request is never kept.
var errQuery = errors.New("keying: the query cannot be read in one way only")

// effective returns the query that selects the answer: raw itself, or what the rules leave of it, in a fixed order.
func effective(q keying.Query, raw string) (string, error) {
	if err := checkQuery(raw); err != nil || raw == "" || q.Raw() {
		return raw, err
	}
	return canonical(raw, q.Selects), nil
}

// checkQuery refuses what parsers disagree about: ";" as a separator, broken escapes, NUL, too many parameters.
func checkQuery(raw string) error {
	params := 1
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '&':
			params++
		case c == ';' || c < 0x20 || c == 0x7f:
			return errQuery
		case c == '%':
			if i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2]) || raw[i+1:i+3] == "00" {
				return errQuery
			}
		}
	}
	if params > MaxParams {
		return ErrTooLarge
	}
	return nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// canonical is what appendCanonical makes of the query.
func canonical(raw string, keeps func(name string) bool) string {
	if isCanonical(raw, keeps) { // as most are
		return raw
	}
	return string(appendCanonical(nil, raw, keeps))
}

// parameter is one of a query, as the client wrote it, with its name decoded.
type parameter struct{ name, text string }

// fewParameters is how many of them are put in order without a place on the heap.
const fewParameters = 16

// appendCanonical appends the pairs whose name passes, sorted stably by decoded name. The pairs themselves stay as the
// client wrote them: an app can tell "a" from "a=" and "%41" from "A".
func appendCanonical(to []byte, raw string, keeps func(name string) bool) []byte {
	if isCanonical(raw, keeps) {
		return append(to, raw...)
	}
	var few [fewParameters]parameter
	kept := few[:0]
	for text := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(text, "=")
		name, err := url.QueryUnescape(name)
		if text != "" && err == nil && keeps(name) {
			kept = append(kept, parameter{name, text})
		}
	}
	slices.SortStableFunc(kept, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	for i, p := range kept {
		if i > 0 {
			to = append(to, '&')
		}
		to = append(to, p.text...)
	}
	return to
}

// isCanonical reports whether the query is what canonical would make of it, as far as that shows without decoding.
func isCanonical(raw string, keeps func(name string) bool) bool {
	for last := ""; raw != ""; {
		text, rest, more := strings.Cut(raw, "&")
		name, _, _ := strings.Cut(text, "=")
		if text == "" || more && rest == "" || name < last || strings.ContainsAny(name, "%+") || !keeps(name) {
			return false
		}
		last, raw = name, rest
	}
	return true
}

// NoVarySearch returns the value of a No-Vary-Search header (draft-ietf-httpbis-no-vary-search) that tells other caches
// what the Query says, or "" where there is nothing to tell: for the raw query. What the header cannot express, such as
// names that end in "*", it leaves out, so that other caches tell apart more than this one. In one respect they tell
// apart less: they compare parameters decoded, as a handler reads them from a form, while a key has them as they were
// written. Do not send it where handlers read the raw query.
//
// Drafts differ in whether except stands beside params or alone. It is sent beside params, because browsers ignore it
// alone; a cache that knows it alone only, and ignores this, tells apart more.
func NoVarySearch(q keying.Query) string {
	const order = "key-order"
	names, complete := plainNames(q)
	all, only := q.Names()
	switch {
	case q.Raw():
		return ""
	case only && len(all) == 0:
		return "params" // without parameters there is no order
	case only && complete:
		return order + ", params, except=" + innerList(names)
	case !only && len(names) > 0:
		return order + ", params=" + innerList(names)
	}
	return order
}

// plainNames returns the names that No-Vary-Search can express, in order, and whether that is all of them. A name that is
// not UTF-8, or has U+FFFD in it, is not: decoding makes one of both.
func plainNames(q keying.Query) (names []string, complete bool) {
	all, _ := q.Names()
	for _, name := range all {
		if !strings.HasSuffix(name, "*") && utf8.ValidString(name) && !strings.ContainsRune(name, utf8.RuneError) {
			names = append(names, name)
		}
	}
	complete = len(names) == len(all)
	slices.Sort(names)
	return slices.Compact(names), complete
}

// innerList returns the names as an inner list of Strings (RFC 9651 §3.1.1). A cache decodes each like a form's name, so
// that no character needs more than the escapes of a URL.
func innerList(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = `"` + url.QueryEscape(name) + `"`
	}
	return "(" + strings.Join(quoted, " ") + ")"
}
