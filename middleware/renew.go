package middleware

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/cache/middleware/rfc9111"
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
		asked = askRest(old, h)
	}
	if asked == nothing && l.part {
		copyFields(h, l.r.Header, "Range", "If-Range")
	}
	return asked
}

func askConfirmation(old *store.Entry, h http.Header) renewal {
	asked := nothing
	if tag := fieldOf(old, "Etag"); len(tag) == 1 {
		h["If-None-Match"], asked = []string{tag[0]}, confirmation
	}
	if modified := fieldOf(old, "Last-Modified"); len(modified) == 1 {
		h["If-Modified-Since"], asked = []string{modified[0]}, confirmation
	}
	return asked
}

func askRest(old *store.Entry, h http.Header) renewal {
	part, ok := rfc9111.ParseContentRange(fieldOf(old, "Content-Range"))
	missing, one := part.Missing()
	tag := first(fieldOf(old, "Etag"))
	strong := rfc9111.StrongMatch(tag, tag)
	if !ok || !one || !part.Fits(old.Body) || tag != "" && !strong {
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

// renew makes the run's entry of the stored answer and what the handler has said of it. Where the two do not belong
// together the handler is run again, without conditions.
func (rt *Route) renew(l *leading, said *Steering) store.Outcome {
	rec, old, e := l.rec, l.rec.run.Old, l.rec.run.Entry
	ok := rec.keeping && l.err == nil
	if ok && rec.asked == confirmation {
		ok = rec.confirms(old)
		e.Status, e.Body = old.Status, old.Body
	} else if ok {
		ok = rec.status == http.StatusPartialContent && rec.join(old) && e.Status == http.StatusOK
	}
	if !ok {
		return rt.anew(l)
	}
	rec.freshen(old)
	e.Labels = old.Labels
	storable := rt.storableRenewed(rec)
	if rec.reason = rt.settle(l, said); rec.reason == "" {
		rec.reason = storable
	}
	if rec.reason != "" { // good for this client, and no other
		e.Fresh, e.WhileRevalidate, e.IfError, e.IfValidated = 0, 0, 0, 0
	}
	return store.Renew
}

// storableRenewed judges the stored fields together with those of the new answer, and leaves out what the directives of
// the two together say must not be stored.
func (rt *Route) storableRenewed(rec *recorder) Reason {
	e, age := rec.run.Entry, rec.verdict.Age // which the new answer alone tells: no Age is stored
	reason := rt.storableStandard(rec, e.Status, headerOf(e, rec.outer))
	rec.verdict.Age = age
	for _, name := range rec.verdict.Omit {
		e.Header, e.Added = withoutField(e.Header, name), withoutField(e.Added, name)
	}
	return reason
}

// headerOf is the header of a response that is replayed from the entry.
func headerOf(e *store.Entry, outer http.Header) http.Header {
	h := outer.Clone()
	if h == nil {
		h = http.Header{}
	}
	apply(h, e)
	return h
}

// headed updates the stored answer by one to HEAD, if it is about the same representation, and else takes the stored one
// for stale (§4.3.5).
func (rt *Route) headed(l *leading, said *Steering) store.Outcome {
	rec, old, e := l.rec, l.rec.run.Old, l.rec.run.Entry
	switch {
	case !rec.keeping, old == nil, rec.status != old.Status:
		return store.Fail
	case !rec.confirms(old), rec.declared >= 0 && rec.declared != int64(len(old.Body)):
		return outdate(e, old)
	}
	e.Status, e.Body, e.Labels = old.Status, old.Body, old.Labels
	rec.freshen(old)
	if rec.reason = rt.storableRenewed(rec); rec.reason == "" {
		rec.reason = rt.settle(l, said)
	}
	if rec.reason != "" {
		return store.Fail
	}
	return store.Keep
}

// outdate makes the entry what the old one is, but stale from now on.
func outdate(e, old *store.Entry) store.Outcome {
	now := time.Now()
	if old.Left(now) <= 0 {
		return store.Fail
	}
	e.Status, e.Header, e.Added, e.Body, e.Labels = old.Status, old.Header, old.Added, old.Body, old.Labels
	e.Stored, e.Fresh = old.Stored, old.Age(now)
	e.WhileRevalidate, e.IfError, e.IfValidated = old.WhileRevalidate, old.IfError, old.IfValidated
	return store.Keep
}

// confirms reports whether a 304 is about the stored answer (§4.3.4): if it has a validator, it must be the same.
func (rec *recorder) confirms(old *store.Entry) bool {
	got := &store.Entry{Header: rec.header, Added: rec.added}
	if tag := first(fieldOf(got, "Etag")); tag != "" {
		return rfc9111.WeakMatch(tag, first(fieldOf(old, "Etag"))) || tag == first(fieldOf(old, "Etag"))
	}
	if modified := first(fieldOf(got, "Last-Modified")); modified != "" && fieldOf(old, "Etag") == nil {
		return modified == first(fieldOf(old, "Last-Modified"))
	}
	return true
}

// join combines a 206 with the stored part (§3.4): strong validators in common, and bytes that fit.
func (rec *recorder) join(old *store.Entry) bool {
	got := &store.Entry{Header: rec.header, Added: rec.added}
	if !rfc9111.StrongMatch(first(fieldOf(got, "Etag")), first(fieldOf(old, "Etag"))) {
		return false
	}
	a, ok := rfc9111.ParseContentRange(fieldOf(old, "Content-Range"))
	b, ok2 := rfc9111.ParseContentRange(fieldOf(got, "Content-Range"))
	part, body, joined := rfc9111.Join(a, old.Body, b, rec.body)
	if !ok || !ok2 || !joined || int64(len(body)) > rec.rt.MaxBody {
		return false
	}
	e := rec.run.Entry
	e.Body, e.Status = body, http.StatusPartialContent
	rec.header = replaceField(rec.header, "Content-Range", part.String())
	if part.Whole() {
		e.Status = http.StatusOK
	}
	return true
}

// extend puts a part that the client has asked for together with the stored one, if they belong together.
func (rec *recorder) extend() {
	old, e := rec.run.Old, rec.run.Entry
	if old == nil || old.Status != http.StatusPartialContent || !rec.join(old) {
		e.Status, e.Header, e.Body = rec.status, rec.header, compact(rec.body)
		return
	}
	e.Header = rec.header
	if e.Status == http.StatusOK {
		e.Header = withoutField(e.Header, "Content-Range")
	}
}

// freshen makes the fields of the run's entry: the stored ones, with those of the new answer in place of what they name
// (§3.2). What tells how the stored body is coded and how long it is stays.
func (rec *recorder) freshen(old *store.Entry) {
	e := rec.run.Entry
	e.Header, e.Added = merge(old.Header, rec.header, rec.added), merge(old.Added, rec.added, rec.header)
	if e.Status == http.StatusOK {
		e.Header = withoutField(e.Header, "Content-Range")
	} else if part := fieldOf(&store.Entry{Header: rec.header}, "Content-Range"); part != nil {
		e.Header = replaceField(e.Header, "Content-Range", part[0])
	}
	e.Header = replaceField(e.Header, "Content-Length", strconv.Itoa(len(e.Body)))
}

// merge puts the fresh fields in place of the stored ones. Other are fresh fields too, that go elsewhere: what outer
// middleware has set may be another this time, so that a field that was added to is now set, or the other way round. A
// field without values is none that the new answer has.
func merge(stored, fresh, other []store.Field) []store.Field {
	merged := make([]store.Field, 0, len(stored)+len(fresh))
	for _, f := range stored {
		if !updates(f.Name) || !has(fresh, f.Name) && !has(other, f.Name) {
			merged = append(merged, f)
		}
	}
	for _, f := range fresh {
		if updates(f.Name) && len(f.Values) > 0 {
			merged = append(merged, f)
		}
	}
	return merged
}

func has(fields []store.Field, name string) bool {
	return slices.ContainsFunc(fields, func(f store.Field) bool { return len(f.Values) > 0 && strings.EqualFold(f.Name, name) })
}

func updates(name string) bool {
	switch name {
	case "Content-Encoding", "Content-Length", "Content-Range":
		return false
	}
	return true
}

func withoutField(fields []store.Field, name string) []store.Field {
	kept := make([]store.Field, 0, len(fields))
	for _, f := range fields {
		if http.CanonicalHeaderKey(f.Name) != name {
			kept = append(kept, f)
		}
	}
	return kept
}

func replaceField(fields []store.Field, name, value string) []store.Field {
	return append(withoutField(fields, name), store.Field{Name: name, Values: []string{value}})
}

// anew runs the handler once more and asks for the whole: nothing has gone to the client so far.
func (rt *Route) anew(l *leading) store.Outcome {
	run := l.rec.run
	l.rec.drop("")
	l.rec.mute = true
	l.plain, l.err = true, nil
	run.Entry.Labels = nil
	rt.record(l, run)
	return rt.lead(l)
}
