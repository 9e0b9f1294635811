package keys

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/larder-go/cache/keying"
)

// How a query selects a response.
//
// By default the query counts as it stands, byte for byte. With rules (keying.Only, keying.Except) some parameters count, in a fixed order, and the
// handler sees only these. Either way it must be a query that all parsers read alike. If a proxy reads other parameters than the handler does,
// somebody can store one page under the URL of another.

// errQuery is the error of a query that parsers read differently. The response to such a request is not stored.
var errQuery = errors.New("keying: the query cannot be read in one way only")

// effective returns the query that selects the response and that the handler sees: raw itself, or what the rules leave of it, in a fixed order.
func effective(q keying.Query, raw string) (string, error) {
	if err := checkQuery(raw); err != nil || raw == "" || q.Raw() {
		return raw, err
	}
	return canonical(raw, q.Selects), nil
}

// checkQuery refuses what parsers disagree about: ";", which separates for some; escapes that are none; control characters and NUL. It refuses
// too many parameters, as well.
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

// isHex reports whether the byte is a hexadecimal digit.
func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// canonical returns what appendCanonical makes of the query.
func canonical(raw string, keeps func(name string) bool) string {
	if isCanonical(raw, keeps) { // most queries are
		return raw
	}
	return string(appendCanonical(nil, raw, keeps))
}

// A parameter is a pair of a query as the client wrote it, "name=value", and its decoded name.
type parameter struct{ name, text string }

// fewParameters is how many parameters are sorted on the stack.
const fewParameters = 16

// appendCanonical appends the parameters whose name passes, sorted by decoded name. Several of one name stay in their order, and each stays as the
// client wrote it, because an app can tell "a" from "a=" and "%41" from "A".
//
//	Except("utm_*"):   b=2&utm_source=x&a=1&b=1   →   a=1&b=2&b=1
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

// isCanonical reports whether the query is in its canonical form already. It decodes nothing: a query with an escape in a name is not canonical for
// it, and takes the longer way.
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

// NoVarySearch returns the value of a No-Vary-Search header (draft-ietf-httpbis-no-vary-search), which tells other caches the rules of a Query. It
// returns "" if there are no rules.
//
// Other caches may distinguish more URLs than this one: the header cannot express names that end in "*", so they are left out. In one respect
// they distinguish fewer: they compare decoded parameters, and a key has them as they were written. So do not send the header if a handler reads
// the raw query.
//
// Drafts differ in whether except stands with params or alone. It is sent with params, because browsers ignore it alone. A cache that only
// understands it alone ignores this header, which does no harm.
func NoVarySearch(q keying.Query) string {
	const order = "key-order"
	names, complete := expressible(q)
	all, only := q.Names()
	switch {
	case q.Raw():
		return ""
	case only && len(all) == 0:
		return "params" // no parameter counts, so there is no order to speak of
	case only && complete:
		return order + ", params, except=" + innerList(names)
	case !only && len(names) > 0:
		return order + ", params=" + innerList(names)
	}
	return order
}

// expressible returns the names that No-Vary-Search can express, sorted, and whether those are all of them. It cannot express a name that is not
// UTF-8, or has U+FFFD in it: after decoding, both are the same.
func expressible(q keying.Query) (names []string, complete bool) {
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

// innerList returns the names as an inner list of Strings (RFC 9651 §3.1.1). They have the escapes of a URL, which a cache decodes, so there are
// no characters that a String would have to escape.
func innerList(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = `"` + url.QueryEscape(name) + `"`
	}
	return "(" + strings.Join(quoted, " ") + ")"
}
