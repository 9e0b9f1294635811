package middleware

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Only what the handler itself did to the header is stored. Outer middleware does its part again on every hit, so what it has set
// before the handler ran is neither stored nor lost:
//
//	outer middleware set   the handler            stored              on a hit
//	X-Id: 1                nothing                nothing             X-Id of this request
//	Vary: Origin           added Vary: Accept     Accept, as added    Vary: Origin, and Accept
//	Server: a              set Server: b          b, as set           Server: b
//	Server: a              removed Server         removed             no Server

// take copies what the handler did to the header: fields that it set, and lines that it added to fields which outer middleware had set. A
// field without values is sent by nobody, net/http included. Fields whose canonical name leave accepts are left out. All values are
// copied.
func (rec *recorder) take(h http.Header, leave func(name string) bool) {
	if rec.captured == nil { // it was given back: the handler still writes after its end
		rec.captured = captures.Get().(*captured)
	}
	rec.header, rec.added, rec.values = rec.fields[:0], nil, rec.lines[:0]
	field := func(name string, values []string) (f store.Field) {
		f.Name = name
		f.Values, rec.values = pack(rec.values, values...)
		return f
	}
	for name, values := range h {
		before, there := rec.outer[name]
		switch {
		case leave(rec.canonical(name)):
		case !there || len(before) == 0:
			rec.header = append(rec.header, field(name, values))
		case slices.Equal(before, values):
		case len(values) > len(before) && slices.Equal(before, values[:len(before)]):
			rec.added = append(rec.added, store.Field{Name: name, Values: slices.Clone(values[len(before):])})
		default:
			rec.header = append(rec.header, field(name, values))
		}
	}
	for name := range rec.outer {
		if _, there := h[name]; !there && !leave(http.CanonicalHeaderKey(name)) {
			rec.added = append(rec.added, store.Field{Name: name})
		}
	}
}

// captured is a header on its way into an entry. No handler ever sees it, so it is pooled.
type captured struct {
	header, added []store.Field
	// All values of header, one after the other; may have capacity for more.
	values []string

	// When the handler was asked.
	asking time.Time
	// In policy mode: how old the response was when it came (RFC 9111 §4.2.3).
	age time.Duration

	// As many as most responses have.
	fields [16]store.Field
	lines  [16]string
}

var captures = sync.Pool{New: func() any { return new(captured) }}

// forget puts the captured header back into its pool.
func (rec *recorder) forget() {
	if rec.captured != nil {
		*rec.captured = captured{}
		captures.Put(rec.captured)
	}
	rec.captured = nil
}

// pack appends the values to all, and returns them as a slice of their own, and all. So the values of a whole header share one
// allocation, or none.
func pack(all []string, values ...string) (packed, more []string) {
	n := len(all)
	all = append(all, values...)
	return all[n:len(all):len(all)], all
}

// fold gives the fields that the cache itself reads or writes their canonical names. A handler may set one without the methods of
// http.Header (h["cache-control"], h["ETag"]), and means it all the same: field names are case-insensitive (RFC 9110 §5.1).
func fold(h http.Header) {
	for name, values := range h {
		canonical := http.CanonicalHeaderKey(name)
		if canonical == name {
			continue
		}
		switch canonical {
		case "Access-Control-Allow-Origin", "Age", "Cache-Control", "Cache-Group-Invalidation", "Cache-Groups", "Cache-Status", "Cdn-Cache-Control",
			"Clear-Site-Data", "Connection", "Content-Encoding", "Content-Location", "Content-Range", "Location", "Vary", "Content-Security-Policy",
			"Content-Security-Policy-Report-Only", "Content-Length", "Date", "Etag", "Expires", "Last-Modified":
			delete(h, name)
			h[canonical] = append(h[canonical][:len(h[canonical]):len(h[canonical])], values...)
		}
	}
}

// untarget removes CDN-Cache-Control from a response for one user. It would tell shared caches to store the response, whatever its
// Cache-Control says (RFC 9213 §2.2).
func (rec *recorder) untarget(h http.Header) {
	if rec.rt.scheme.Private {
		delete(h, "Cdn-Cache-Control")
	}
}

// privatize keeps a response for one user out of other caches, whoever set its Cache-Control. Where the user is not even known, nobody
// stores it.
func (rec *recorder) privatize(h http.Header) {
	rec.untarget(h)
	switch {
	case !rec.rt.scheme.Private:
	case rec.reason == ReasonIdentity:
		h["Cache-Control"] = []string{"private, no-store"}
	default:
		h["Cache-Control"] = rfc9111.MakePrivate(h["Cache-Control"])
	}
}

// addCacheStatus says in Cache-Status what the cache did (RFC 9211): why the request went to the handler, and what became of the response.
// The lines of ordinary misses are prepared, so that they cost no allocation.
func (rec *recorder) addCacheStatus(h http.Header) {
	c := rec.rt.common
	if c.name == "" {
		return
	}
	how, key, cause := "miss", keying.Key{}, Reason("")
	if rec.run != nil {
		key, cause = rec.run.Entry.Key, Reason(rec.run.Cause)
	}
	switch {
	case rec.run == nil:
		how = fwd(rec.reason)
	case rec.fwd != "":
		how = rec.fwd
	case rec.run.Old != nil:
		how = "stale"
	case cause == CauseVariant:
		how = "vary-miss"
	}
	stored, lines := rec.fate == readthrough.Kept && rec.r.Method != http.MethodHead, c.missed
	if stored {
		lines = c.kept
	}
	if line := lines[cause]; line != nil && how == "miss" && rec.reason == "" && !rec.part && !c.debug {
		c.addStatus(h, line)
		return
	}
	reason := rec.reason
	if reason == ReasonStore && cause == CauseAway { // the cause says it all
		reason = ""
	}
	if rec.part {
		reason = partReason(rec.r)
	}
	c.addStatus(h, c.forwarded(how, key, cmp.Or(reason, cause), stored))
}

// became notes what the store made of the entry.
func (rec *recorder) became(fate readthrough.Fate) {
	if rec.fate = fate; rec.keeping && rec.reason == "" && !rec.part {
		rec.reason = FateReason(fate)
	}
}

// FateReason says why an entry that was to be stored is not, "" if it is.
func FateReason(fate readthrough.Fate) Reason {
	switch fate {
	case readthrough.RefusedByStore:
		return ReasonRefused
	case readthrough.StoreFailed:
		return ReasonStore
	case readthrough.Overtaken:
		return ReasonOvertaken
	case readthrough.NotKept:
		return ReasonAge
	}
	return ""
}

// hasTrailers reports whether the handler has set trailers that it did not announce in the head.
func (rec *recorder) hasTrailers() bool {
	for name := range rec.own {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// publishTrailers passes on what the handler set after the head: announced trailers, and those with net/http's prefix (RFC 9110 §6.5).
func (rec *recorder) publishTrailers() {
	h := rec.w.Header()
	if rec.trailing {
		for name, values := range rec.own {
			if strings.HasPrefix(name, http.TrailerPrefix) {
				h[name] = values
			}
		}
	}
	for _, line := range h["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if values, ok := rec.own[name]; ok {
				h[name] = values
			}
		}
	}
}

// MarkPrivate makes the Cache-Control of a response say that it is private, as all responses of the cache on per-user routes do: for
// responses that a framework's error handler makes in the handler's place. Elsewhere than on per-user routes it does nothing.
func (rt *Route) MarkPrivate(h http.Header) {
	if rt.scheme.Private {
		h["Cache-Control"] = rfc9111.MakePrivate(h["Cache-Control"])
	}
}
