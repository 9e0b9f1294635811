package middleware

import (
	"net/http"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/store"
)

// fitness says what a stored answer is good for in one request (RFC 9111 §4): at most what its own age makes of it, less if
// the request wants more, and more if the request takes a stale one. To an answer whose run has begun since the request came
// it cannot object: its own would be no newer. One whose run had begun before is as old as it is, although it came later.
func (rt *Route) fitness(p *Passage, r *http.Request, ask rfc9111.Ask, e *store.Entry, use readthrough.Use, made readthrough.Made) readthrough.Use {
	switch {
	case use == readthrough.NoUse: // purged, or past every window: no wish of a client's brings it back
		return use
	case e.Status == 0, made != readthrough.Before && !rt.selects(p, r, e):
		return readthrough.NoUse
	case r.Header["Authorization"] != nil && !rt.Scheme.Private && !controlOf(e, p.outer, false).ForAuthorized():
		return unvalidated(e, use)
	case e.Status == http.StatusPartialContent:
		if _, _, ok := slice(e, r); !ok {
			return unvalidated(e, use)
		}
	}
	if made == readthrough.Since || ask == noAsk {
		return use
	}
	now := time.Now()
	switch ask.Fit(e.Age(now), e.Left(now)) {
	case rfc9111.Unfit:
		p.fresh = p.fresh || use == readthrough.Fresh
		if use > readthrough.OnValidation && e.Status != http.StatusPartialContent {
			p.whole = e
		}
		return unvalidated(e, use)
	case rfc9111.FitsExpired:
		if !rt.Through.Expired(e) && !controlOf(e, p.outer, rt.Scheme.Private).NeverStale(rt.Scheme.Private) {
			return readthrough.Fresh
		}
	}
	return use
}

// noAsk is a request that wants nothing special.
var noAsk = rfc9111.ParseAsk(nil)

// unvalidated is what an answer is good for that must not be served as it is.
func unvalidated(e *store.Entry, use readthrough.Use) readthrough.Use {
	if e.IfValidated == 0 {
		return readthrough.NoUse
	}
	return min(use, readthrough.OnValidation)
}

// slice takes what the request's range asks for out of a stored part (RFC 9111 §3.3).
func slice(e *store.Entry, r *http.Request) (rfc9111.Part, []byte, bool) {
	lines := r.Header["Range"]
	if len(lines) != 1 || r.Method != http.MethodGet {
		return rfc9111.Part{}, nil, false
	}
	if wanted := r.Header["If-Range"]; wanted != nil && !rfc9111.StrongMatch(first(wanted), first(fieldOf(e, "Etag"))) {
		return rfc9111.Part{}, nil, false
	}
	part, known := rfc9111.ParseContentRange(fieldOf(e, "Content-Range"))
	ranges, ok := rfc9111.ParseRange(lines[0])
	if !known || !ok || len(ranges) != 1 {
		return rfc9111.Part{}, nil, false
	}
	return part.Slice(e.Body, ranges[0])
}

// fieldOf returns the lines of a field that the handler set.
func fieldOf(e *store.Entry, name string) []string {
	if lines := e.Header.Lines(name); lines != nil {
		return lines
	}
	return linesIn(e.Added, name)
}

func linesIn(fields []store.Field, name string) []string {
	for i := range fields {
		if fields[i].Name == name {
			return fields[i].Values
		}
	}
	return nil
}

// linesOf returns the lines that a field has when the answer is replayed onto what outer middleware has set; without an
// entry those that are there.
func linesOf(e *store.Entry, outer http.Header, name string) []string {
	if e == nil {
		return outer[name]
	}
	if lines := e.Header.Lines(name); lines != nil {
		return lines
	}
	lines := outer[name]
	for i := range e.Added {
		switch added := e.Added[i]; {
		case added.Name != name:
		case len(added.Values) == 0: // removed
			return nil
		default:
			return append(lines[:len(lines):len(lines)], added.Values...)
		}
	}
	return lines
}

// controlOf is what rules a stored answer.
func controlOf(e *store.Entry, outer http.Header, private bool) rfc9111.Control {
	return rfc9111.Effective(http.Header{
		"Cache-Control":     linesOf(e, outer, "Cache-Control"),
		"Cdn-Cache-Control": linesOf(e, outer, "Cdn-Cache-Control"),
	}, private)
}
