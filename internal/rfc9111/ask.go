package rfc9111

import (
	"net/http"
	"strings"
	"time"
)

// An Ask is what a request's Cache-Control wants of a cache (RFC 9111 §5.2.1). Durations are -1 where it does not say.
// Pragma is ignored, as §5.4 has it.
type Ask struct {
	NoStore, NoCache, OnlyIfCached bool

	MaxAge, MinFresh, MaxStale time.Duration
}

// forEver stands for a staleness without a bound.
const forEver = most * time.Second

// ParseAsk reads the lines of a request's Cache-Control. Of a directive given twice with different times the stricter one
// counts. What cannot be parsed is ignored, except that a max-age that is no time accepts nothing that is not new.
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

// Fit says what a stored response is to a request's wishes.
type Fit uint8

const (
	Unfit       Fit = iota // not without validation
	Fits                   // as fresh, or as stale, as it is
	FitsExpired            // although it is past its freshness: the request takes it (max-stale)
)

// Fit judges a stored response of this age, with so much freshness left (negative: so long past it). Whether the response
// itself allows to be served stale is the caller's to know.
func (a Ask) Fit(age, left time.Duration) Fit {
	stale := left <= 0
	switch {
	case a.NoCache, a.MaxAge >= 0 && age > a.MaxAge, a.MinFresh >= 0 && left < a.MinFresh:
		return Unfit
	case stale && a.MaxStale >= 0 && left >= -a.MaxStale:
		return FitsExpired
	case stale && (a.MaxStale >= 0 || a.MaxAge >= 0): // it is too stale; a max-age alone takes none that is stale
		return Unfit
	}
	return Fits
}

// Unsafe reports whether the method may change something (RFC 9110 §9.2.1): all may that are not registered as safe
// (§16.1.1).
func Unsafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "PRI", "PROPFIND", "QUERY", "REPORT", "SEARCH":
		return false
	}
	return true
}
