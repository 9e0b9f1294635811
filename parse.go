package cache

import (
	"errors"
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
//	by, skip                           one name each: of Options.By, of Options.Skips
//	query=a,b or except=a,utm_*        keying.Only, keying.Except; "query=" ignores the query
//	max-body                           bytes, or KiB, MiB: 65536, 64KiB
//	max-runs                           a number: 64
//	status                             404:10s,301:1h
//	client                             Cache-Control's directives: no-cache, max-age=60,must-revalidate
//	ignore-authorization, rfc9111      flags
//
// A byte order mark at the beginning is passed over. An error names the column, the fault and the remedy, also where a
// policy is well written and cannot work: then it says what registration would. What needs [Options], a Redis, an identity or
// a function's name, is told there alone.
func ParsePolicy(text string) (Policy, error) {
	p, _, err := parsePolicy(strings.TrimPrefix(text, byteOrderMark))
	if err != nil {
		return Policy{}, fmt.Errorf("cache: policy %q: %w", clip(text), err)
	}
	return p, nil
}

func clip(text string) string { return clipAt(text, 200) }

func clipAt(text string, most int) string {
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// syntaxError is a fault at a byte of the text.
type syntaxError struct {
	column int // from 1
	text   string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.column, e.text) }

// places are the columns of a policy's settings, by their names.
type places map[string]int

// of gives a refusal the column of the setting at fault. A policy's class stands first.
func (at places) of(err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		return err
	}
	return &syntaxError{at[r.setting], clipAt(r.text, 500)}
}

// parsePolicy reads a policy that could work somewhere.
func parsePolicy(text string) (p Policy, at places, err error) {
	words, err := splitWords(text)
	if err != nil {
		return p, nil, err
	}
	if len(words) == 0 {
		return p, nil, &syntaxError{1, "the policy is empty; begin with a class: " + classList()}
	}
	if p.Class, err = parseClass(words[0]); err != nil {
		return p, nil, err
	}
	at = places{}
	for _, w := range words[1:] {
		key, value, hasValue := strings.Cut(w.text, "=")
		switch {
		case at[key] > 0:
			return p, nil, w.fault("%q is given twice; keep one", key)
		case key == "query" && at["except"] > 0, key == "except" && at["query"] > 0:
			return p, nil, w.fault("query and except exclude each other; keep one")
		}
		at[key] = w.column
		if err := p.set(setting{w, key, value, hasValue}); err != nil {
			return p, nil, err
		}
	}
	at[""] = words[0].column
	if at["query"] == 0 { // both are Policy.Query
		at["query"] = at["except"]
	}
	return p, at, at.of(p.check())
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
