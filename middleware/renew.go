package middleware

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// renew makes the run's entry of the stored answer and what the handler has said of it. Where the two do not belong
// together the handler is run again, without conditions.
func (rt *Route) renew(l *leading) readthrough.Verdict {
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
	if rec.reason == "" && l.part && !l.call.Still(old) { // a run for the whole has come first: see readthrough.Call.GetPart
		rec.reason = ReasonOvertaken
	}
	if rec.reason == "" {
		rec.supersede(old, l.p.resource)
		return readthrough.Renew
	}
	// It is good for this client, and no other.
	rec.run.Index, rec.run.Replaced = nil, nil
	e.Fresh, e.WhileRevalidate, e.IfError, e.IfValidated = 0, 0, 0, 0
	if disowns(storable) || rec.reason == ReasonHandler {
		rec.run.Replaced = []keying.Key{old.Key}
	}
	return readthrough.Renew
}

// disowns reports whether an answer that may not be kept for the reason says so of the stored one that it is about, too
// (§3.2, §4.3.4): its directives take the place of the stored ones. What comes of one client's cookie or
// authorization says nothing of others.
func disowns(reason Reason) bool {
	switch reason {
	case ReasonNoStore, ReasonPrivate, ReasonControl, ReasonVary:
		return true
	}
	return false
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
func (rt *Route) anew(l *leading) readthrough.Verdict {
	run := l.rec.run
	l.rec.end()
	l.plain, l.err = true, nil
	run.Entry.Labels = nil
	return rt.lead(l, run, new(handling))
}

// headed makes of an answer to HEAD what it means to the stored one (§4.3.5), and to those who wait for the same.
func (rt *Route) headed(l *leading) readthrough.Verdict {
	rec, verdict := l.rec, l.rec.law.verdict
	if rt.update(l) {
		return readthrough.Cacheable
	}
	rec.law.verdict = verdict
	return rt.pass(l)
}

// update updates the stored answer by one to HEAD, if it is about the same representation, and else takes the stored one
// for stale. It reports whether there is anything to be kept.
func (rt *Route) update(l *leading) bool {
	rec, old, e := l.rec, l.tells(), l.rec.run.Entry
	switch {
	case old == nil:
		return false
	case !rec.agrees(old):
		rec.run.MarkUncacheable() // those who wait want the new one
		return outdate(rec.run, old)
	case old.Status == http.StatusPartialContent: // it tells nothing of a part
		return false
	}
	e.Status, e.Body, e.Labels = old.Status, old.Body, slices.Clip(old.Labels)
	rec.freshen(old)
	if rec.reason = rt.storableRenewed(rec); rec.reason == "" {
		rec.reason = rt.settle(l)
	}
	if rec.reason != "" {
		return false
	}
	rec.supersede(old, l.p.resource)
	return true
}

// supersede has the stored answer forgotten that the run's entry is made of, where the two have keys of their own, because
// it varies by more than it did. Under the resource's key is its index by then.
func (rec *recorder) supersede(old *store.Entry, resource keying.Key) {
	if old.Key != rec.run.Entry.Key && old.Key != resource {
		rec.run.Replaced = append(rec.run.Replaced, old.Key)
	}
}

// tells is the stored answer that one to HEAD tells of: what it was to be validated against, or what did for others. It tells
// of none where the store has another by now, or none since a purge: the handler may have seen what was before.
func (l *leading) tells() *store.Entry {
	old := cmp.Or(l.rec.run.Old, l.p.whole)
	if !l.rec.about(old) || !l.call.Still(old) {
		return nil
	}
	return old
}

// about reports whether an answer to HEAD is about the stored one (§4.3.5): other statuses than its own change nothing.
func (rec *recorder) about(old *store.Entry) bool {
	return old != nil && rec.r.Method == http.MethodHead && rec.status == wholeStatus(old)
}

// agrees reports whether an answer to HEAD is about the representation that is stored: what it has of validators, length and
// body is the same. One that has nothing of these may be about anything: to take the stored one for stale costs a run, and to
// take it for good might keep what is long changed.
func (rec *recorder) agrees(old *store.Entry) bool {
	size := int64(rec.size())
	switch {
	case rec.contradicts(old), rec.declared >= 0 && rec.declared != wholeSize(old):
		return false
	case size > 0 && old.Status != http.StatusPartialContent: // the handler has written what net/http does not send
		return bytes.Equal(rec.compact(), old.Body)
	}
	return size > 0 || rec.declared >= 0 || rec.validated() || wholeSize(old) == 0
}

// refused makes of an answer to HEAD that may not be kept what it means to the stored one. It reports whether there is
// anything to be kept.
func (rt *Route) refused(l *leading) bool {
	if !rt.Standard || !disowns(l.rec.reason) {
		return false
	}
	old := l.tells()
	return old != nil && outdate(l.rec.run, old)
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

// outdate makes the run's entry what the old one is, but stale from now on. One that is then of no use is forgotten.
func outdate(run *readthrough.Run, old *store.Entry) bool {
	e, now := run.Entry, time.Now()
	if old.Left(now) <= 0 {
		return false
	}
	e.Key, e.Status, e.Header, e.Added, e.Body, e.Labels = old.Key, old.Status, old.Header, old.Added, old.Body, old.Labels
	e.Stored, e.Aged, e.Fresh = old.Stored, old.Aged, old.Age(now)
	e.WhileRevalidate, e.IfError, e.IfValidated = old.WhileRevalidate, old.IfError, old.IfValidated
	if e.Keep(now) <= 0 {
		run.Replaced = []keying.Key{old.Key}
	}
	return true
}
