package middleware

import (
	"net/http"
	"slices"
	"time"

	"github.com/larder-go/cache/middleware/rfc9111"
	"github.com/larder-go/cache/store"
)

// renew makes the run's entry of the stored answer and what the handler has said of it. Where the two do not belong
// together the handler is run again, without conditions.
func (rt *Route) renew(l *leading) store.Outcome {
	rec, old, e := l.rec, l.rec.run.Old, l.rec.run.Entry
	rec.restore() // what interim answers have put there
	ok := rec.keeping && l.err == nil && !rec.said.hasFailed()
	if ok && rec.asked == confirmation {
		ok = rec.confirms(old)
		e.Status, e.Body = old.Status, old.Body
	} else if ok {
		ok = rec.status == http.StatusPartialContent && rec.join(old, rec.compact()) && e.Status == http.StatusOK
	}
	if !ok {
		return rt.anew(l)
	}
	rec.freshen(old)
	e.Labels = slices.Clip(old.Labels)
	storable := rt.storableRenewed(rec)
	if rec.reason = rt.settle(l); rec.reason == "" {
		rec.reason = storable
	}
	if rec.reason != "" { // good for this client, and no other
		rec.run.Index = nil
		e.Fresh, e.WhileRevalidate, e.IfError, e.IfValidated = 0, 0, 0, 0
	}
	return store.Renew
}

// storableRenewed judges the stored fields together with those of the new answer, and leaves out what the directives of
// the two together say must not be stored.
func (rt *Route) storableRenewed(rec *recorder) Reason {
	e, age := rec.run.Entry, rec.law.verdict.Age // which the new answer alone tells: no Age is stored
	reason := rt.storableStandard(rec, e.Status, headerOf(e, rec.outer))
	rec.law.verdict.Age = age
	for _, name := range rec.law.verdict.Omit {
		e.Header, e.Added = makeHeader(withoutField(e.Header.Fields(), name)), withoutField(e.Added, name)
	}
	return reason
}

// headerOf is the header of a response that is replayed from the entry.
func headerOf(e *store.Entry, outer http.Header) http.Header {
	h := outer.Clone()
	if h == nil {
		h = http.Header{}
	}
	apply(h, e, false)
	return h
}

// anew runs the handler once more and asks for the whole: nothing has gone to the client so far.
func (rt *Route) anew(l *leading) store.Outcome {
	run := l.rec.run
	l.rec.end()
	l.plain, l.err = true, nil
	run.Entry.Labels = nil
	return rt.lead(l, run, new(handling))
}

// headed makes of an answer to HEAD what it means to the stored one (§4.3.5), and to those who wait for the same.
func (rt *Route) headed(l *leading) store.Outcome {
	rec, verdict := l.rec, l.rec.law.verdict
	if rt.update(l) {
		return store.Keep
	}
	rec.law.verdict = verdict
	return rt.pass(l)
}

// update updates the stored answer by one to HEAD, if it is about the same representation, and else takes the stored one
// for stale. It reports whether there is anything to be kept.
func (rt *Route) update(l *leading) bool {
	rec, old, e := l.rec, l.rec.run.Old, l.rec.run.Entry
	switch {
	case old == nil, rec.status != wholeStatus(old):
		return false
	case rec.contradicts(old), rec.declared >= 0 && rec.declared != wholeSize(old):
		rec.run.Refuse() // those who wait want the new one
		return outdate(e, old)
	case !rec.validated(), old.Status == http.StatusPartialContent: // it may be about anything; it tells nothing of a part
		return false
	}
	e.Status, e.Body, e.Labels = old.Status, old.Body, slices.Clip(old.Labels)
	rec.freshen(old)
	if rec.reason = rt.storableRenewed(rec); rec.reason == "" {
		rec.reason = rt.settle(l)
	}
	return rec.reason == ""
}

// wholeStatus is the status of what the entry is, or is a part of.
func wholeStatus(e *store.Entry) int {
	if e.Status == http.StatusPartialContent {
		return http.StatusOK
	}
	return e.Status
}

// wholeSize is how many bytes that has.
func wholeSize(e *store.Entry) int64 {
	if part, ok := rfc9111.ParseContentRange(fieldOf(e, "Content-Range")); ok && e.Status == http.StatusPartialContent {
		return part.Complete
	}
	return int64(len(e.Body))
}

// outdate makes the entry what the old one is, but stale from now on.
func outdate(e, old *store.Entry) bool {
	now := time.Now()
	if old.Left(now) <= 0 {
		return false
	}
	e.Status, e.Header, e.Added, e.Body, e.Labels = old.Status, old.Header, old.Added, old.Body, old.Labels
	e.Stored, e.Fresh = old.Stored, old.Age(now)
	e.WhileRevalidate, e.IfError, e.IfValidated = old.WhileRevalidate, old.IfError, old.IfValidated
	return true
}
