package keys

import (
	"errors"
	"net/url"
	"slices"
	"strings"

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
