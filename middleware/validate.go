package middleware

import (
	"net/http"
	"strings"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/store"
)

// renewal is what a handler is asked for instead of a whole answer.
type renewal uint8

const (
	nothing      renewal = iota
	confirmation         // whether the stored answer is still good: 304 (RFC 9111 §4.3)
	rest                 // the bytes that a stored part lacks: 206 (§3.3, §3.4)
)

// ask puts the conditions into the handler's request, a copy, under which the stored answer can be used again, and returns
// what they ask for. A client that wants a range gets it from the handler, unless a stored whole can be validated.
func (rt *Route) ask(l *leading, old *store.Entry, h http.Header) renewal {
	asked := nothing
	switch {
	case l.r.Method == http.MethodHead:
		return nothing
	case l.plain, old == nil:
	case old.Status != http.StatusPartialContent:
		asked = askConfirmation(old, h)
	case !l.part:
		asked = askRest(old, h, rt.MaxBody)
	}
	if asked == nothing && l.part {
		copyFields(h, l.r.Header, "Range", "If-Range")
	}
	return asked
}

func askConfirmation(old *store.Entry, h http.Header) renewal {
	tag, modified := validators(old)
	if tag != "" {
		h["If-None-Match"] = []string{tag}
	}
	if modified != "" {
		h["If-Modified-Since"] = []string{modified}
	}
	if tag == "" && modified == "" {
		return nothing
	}
	return confirmation
}

// validators are the entity tag and the date by which the entry can be asked for again; "" for what it has not. No condition
// is made of a tag or a date that is malformed, or of several: origins read them each in their own way, and one that takes
// such a date for a late one would confirm what has changed.
func validators(e *store.Entry) (tag, modified string) {
	if lines := fieldOf(e, "Etag"); len(lines) == 1 && rfc9111.WeakMatch(lines[0], lines[0]) {
		tag = lines[0]
	}
	if lines := fieldOf(e, "Last-Modified"); len(lines) == 1 {
		if _, ok := rfc9111.ParseDate(lines[0], time.Now()); ok {
			modified = lines[0]
		}
	}
	return tag, modified
}

func askRest(old *store.Entry, h http.Header, most int64) renewal {
	part, ok := rfc9111.ParseContentRange(fieldOf(old, "Content-Range"))
	missing, one := part.Missing()
	tag := first(fieldOf(old, "Etag"))
	strong := rfc9111.StrongMatch(tag, tag)
	if !ok || !one || part.Complete > most || !part.Fits(old.Body) || tag != "" && !strong {
		return nothing
	}
	h["Range"] = []string{missing.String()}
	if strong { // without, the new part must bring one that the old part lacked, or the whole is asked for
		h["If-Range"] = []string{tag}
	}
	return rest
}

func copyFields(to, from http.Header, names ...string) {
	for _, name := range names {
		if lines := from[name]; lines != nil {
			to[name] = append([]string(nil), lines...)
		}
	}
}

// renews reports whether the status is an answer to what the handler was asked for, which is none for the client: it may
// well have asked for no range.
func (rec *recorder) renews(status int) bool {
	switch rec.asked {
	case confirmation:
		return status == http.StatusNotModified
	case rest:
		return status == http.StatusPartialContent || status == http.StatusRequestedRangeNotSatisfiable
	}
	return false
}

// confirms reports whether a 304 is about the stored answer (§4.3.4): if it has a validator, it must be the stored one's. A
// strong tag is that of an answer which has it strong: another that has it weak may have other bytes, which must not be put
// together with those of the strong one. A weak tag may be that of either. A 304 without any is about what it was asked for.
func (rec *recorder) confirms(old *store.Entry) bool {
	if tag, stored := first(rec.fieldOf("Etag")), first(fieldOf(old, "Etag")); tag != "" {
		return tag == stored || strings.HasPrefix(tag, "W/") && rfc9111.WeakMatch(tag, stored)
	}
	modified, stored := first(rec.fieldOf("Last-Modified")), first(fieldOf(old, "Last-Modified"))
	return modified == "" || modified == stored || stored == "" && fieldOf(old, "Etag") != nil
}

// contradicts reports whether an answer to HEAD has a validator that is not the stored answer's (§4.3.5).
func (rec *recorder) contradicts(old *store.Entry) bool {
	tag, modified := first(rec.fieldOf("Etag")), first(rec.fieldOf("Last-Modified"))
	return tag != "" && !rec.confirms(old) || modified != "" && modified != first(fieldOf(old, "Last-Modified"))
}

// validated reports whether the answer has a validator.
func (rec *recorder) validated() bool {
	return first(rec.fieldOf("Etag")) != "" || first(rec.fieldOf("Last-Modified")) != ""
}
