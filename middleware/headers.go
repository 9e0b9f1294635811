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

// take copies what the handler did to the header since outer middleware left it: fields that it set (one without values is
// sent by nobody, net/http included), and lines that it added to fields that were there (none: it removed the field). Fields
// whose canonical name is to be left are left out. All values are copied.
func (rec *recorder) take(h http.Header, leave func(name string) bool) {
	if rec.captured == nil { // forgotten: a handler that does not know that it is over
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

// captured is a header as it is captured: an entry's is made of it. No handler ever sees it, so it can be used again.
type captured struct {
	header, added []store.Field
	values        []string // those of header; may have room for more

	asking time.Time     // when the handler was asked
	age    time.Duration // in policy mode: how old the answer was when it came

	fields [16]store.Field // as many as most answers have
	lines  [16]string
}

var captures = sync.Pool{New: func() any { return new(captured) }}

// forget gives the captured header's room back.
func (rec *recorder) forget() {
	if rec.captured != nil {
		*rec.captured = captured{}
		captures.Put(rec.captured)
	}
	rec.captured = nil
}

// pack copies values to the end of the room, most often without making any.
func pack(room []string, values ...string) (packed, rest []string) {
	n := len(room)
	room = append(room, values...)
	return room[n:len(room):len(room)], room
}

// fold gives the fields that the cache itself reads or writes their canonical spelling: a handler that has set one past
// the methods of http.Header ("cache-control", "ETag") means it all the same.
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

// What the recorder adds to a handler's answer, or takes from it.

// untarget takes away what tells shared caches to keep one user's answer, past its Cache-Control (RFC 9213 §2.2).
func (rec *recorder) untarget(h http.Header) {
	if rec.rt.scheme.Private {
		delete(h, "Cdn-Cache-Control")
	}
}

// privatize keeps one user's answers from other caches, whoever set their Cache-Control.
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

// tellStatus says what the cache did (RFC 9211).
func (rec *recorder) tellStatus(h http.Header) {
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
	if reason == ReasonStore && cause == CauseAway { // which says it all
		reason = ""
	}
	if rec.part {
		reason = partReason(rec.r)
	}
	c.addStatus(h, c.forwarded(how, key, cmp.Or(reason, cause), stored))
}

// became notes what has become of the entry that was made of the answer.
func (rec *recorder) became(fate readthrough.Fate) {
	if rec.fate = fate; rec.keeping && rec.reason == "" && !rec.part {
		rec.reason = FateReason(fate)
	}
}

// FateReason says why something is not kept that was for keeping, or "" if it is.
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

// hasTrailers reports whether the handler has set trailers that it had not announced.
func (rec *recorder) hasTrailers() bool {
	for name := range rec.own {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// publishTrailers hands on what the handler set after the head, where that is allowed (RFC 9110 §6.5).
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
