package rfc9111

import (
	"net/http"
	"strings"
	"time"
)

// An Ask is what a request's Cache-Control demands (RFC 9111 §5.2.1). Durations are -1 for absent directives. Pragma is
// ignored (§5.4).
type Ask struct {
	NoStore, NoCache, OnlyIfCached bool

	MaxAge, MinFresh, MaxStale time.Duration
}

// forEver stands for unlimited staleness.
const forEver = most * time.Second

// ParseAsk parses the lines of a request's Cache-Control. If a directive has two different times, the stricter one counts.
// What cannot be parsed is ignored, but an invalid max-age counts as 0.
func ParseAsk(lines []string) Ask {
	a := Ask{MaxAge: unsaid, MinFresh: unsaid, MaxStale: unsaid}
	for d, ok := range Directives(lines) {
		if ok {
			a.add(d)
		}
	}
	return a
}

func (a *Ask) add(d Directive) {
	switch strings.ToLower(d.Name) {
	case "no-store":
		a.NoStore = true
	case "no-cache":
		a.NoCache = true
	case "only-if-cached":
		a.OnlyIfCached = true
	case "max-age":
		age, _ := Seconds(d.Value)
		shortest(&a.MaxAge, age)
	case "min-fresh":
		if fresh, ok := Seconds(d.Value); ok {
			a.MinFresh = max(a.MinFresh, fresh)
		}
	case "max-stale":
		if stale, ok := Seconds(d.Value); ok {
			shortest(&a.MaxStale, stale)
		} else if !d.HasValue {
			shortest(&a.MaxStale, forEver)
		}
	}
}

// Fit says how a stored response meets the demands of a request.
type Fit uint8

const (
	Unfit       Fit = iota // only after validation
	Fits                   // as it is, fresh or stale
	FitsExpired            // although it is stale: the request accepts it (max-stale)
)

// Fit judges a stored response of this age, with this much freshness left (negative: stale for that long). Whether the
// response itself permits being served stale is for the caller to check.
func (a Ask) Fit(age, left time.Duration) Fit {
	stale := left <= 0
	switch {
	case a.NoCache, a.MaxAge >= 0 && age > a.MaxAge, a.MinFresh >= 0 && left < a.MinFresh:
		return Unfit
	case stale && a.MaxStale >= 0 && left >= -a.MaxStale:
		return FitsExpired
	case stale && (a.MaxStale >= 0 || a.MaxAge >= 0): // it is too stale; max-age alone accepts no stale response
		return Unfit
	}
	return Fits
}

// Unsafe reports whether the method may change something (RFC 9110 §9.2.1): every method may that is not registered as safe
// (§16.1.1).
func Unsafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "PRI", "PROPFIND", "QUERY", "REPORT", "SEARCH":
		return false
	}
	return true
}
