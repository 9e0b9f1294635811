package keys

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/larder-go/cache/keying"
)

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
