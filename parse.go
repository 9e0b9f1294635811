package cache

import (
	"fmt"
	"strings"
)

// ParsePolicy reads a policy: its class, then settings, separated by spaces.
//
//	hot-shared ttl=60s near=5s swr=30s vary=Accept-Language query=page,sort tags=product:{id}
//
// Durations are Go's ("90s", "5m"), lists are separated by commas, and an item with a space, a comma, a quote or a "#" in
// it is quoted as in Go.
//
//	ttl, near, swr, sie (or sie=off)   durations: TTL, NearTTL, StaleWhileRevalidate, StaleIfError
//	vary, cookies, tags, pass          lists
//	query=a,b or except=a,utm_*        keying.Only, keying.Except; "query=" ignores the query
//	max-body                           bytes, or KiB, MiB: 65536, 64KiB
//	max-runs                           a number: 64
//	status                             404:10s,301:1h
//	client                             Cache-Control's directives: no-cache, max-age=60,must-revalidate
//	ignore-authorization, rfc9111      flags
//
// An error names the column, the fault and the remedy. Whether the policy can work is told where it is registered.
func ParsePolicy(text string) (Policy, error) {
	p, err := parsePolicy(text)
	if err != nil {
		return Policy{}, fmt.Errorf("cache: policy %q: %w", clip(text), err)
	}
	return p, nil
}

func clip(text string) string {
	if len(text) > 200 {
		return text[:200] + "…"
	}
	return text
}

// syntaxError is a fault at a byte of the text.
type syntaxError struct {
	column int // from 1
	text   string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.column, e.text) }

func parsePolicy(text string) (Policy, error) {
	var p Policy
	words, err := splitWords(text)
	if err != nil {
		return p, err
	}
	if len(words) == 0 {
		return p, &syntaxError{1, "the policy is empty; begin with a class: " + classList()}
	}
	if p.Class, err = parseClass(words[0]); err != nil {
		return p, err
	}
	seen := map[string]bool{}
	for _, w := range words[1:] {
		key, value, hasValue := strings.Cut(w.text, "=")
		if seen[key] {
			return p, w.fault("%q is given twice; keep one", key)
		}
		seen[key] = true
		if (key == "query" || key == "except") && seen["query"] && seen["except"] {
			return p, w.fault("query and except exclude each other; keep one")
		}
		if err := p.set(setting{w, key, value, hasValue}); err != nil {
			return p, err
		}
	}
	return p, nil
}

func classList() string { return strings.Join(classNames[1:], ", ") }

func parseClass(w word) (Class, error) {
	for c := SharedGlobal; c.valid(); c++ {
		if c.String() == w.text {
			return c, nil
		}
	}
	return 0, w.fault("unknown class %q; the classes are %s", clip(w.text), classList())
}
