package middleware

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A stored response that may not be served as it is can often be used again (RFC 9111 §4.3). The handler is asked a smaller
// question than the client's, and what it says is put together with what is stored:
//
//	stored                    the handler is asked      and says        the client gets, and the store keeps
//	a whole, past its time    If-None-Match, or -Since  304             the stored body, fresh again
//	the same                  the same                  200             the new response: an ordinary run
//	a part, bytes 0-99        Range: bytes=100-         206             the whole
//	a whole                   HEAD, as the client       200 without a   the stored response with new fields, or
//	                                                    body            nothing: it is outdated now
//
// If the two do not fit together, nothing has gone to the client yet, so the handler runs once more, without conditions.

// ask puts the conditions into the handler's request, a copy, under which the stored response can be used again. A client
// that wants a range gets it from the handler, unless a stored whole can be validated.
func (hr *httpRules) ask(f *fetch, old *store.Entry, h http.Header) {
	rec := f.rec
	rec.http = &httpHead{began: time.Now()}
	rfc9111.Fold(h)
	if f.r.Method == http.MethodHead {
		return
	}
	switch {
	case f.unconditional, old == nil:
	case old.Status != http.StatusPartialContent:
		rec.asked = askConfirmation(old, h)
	case !f.part:
		rec.asked = askMissing(old, h, hr.rt.maxBody)
	}
	if rec.asked == whole && f.part {
		copyFields(h, f.r.Header, "Range", "If-Range")
	}
}

// askConfirmation puts the stored validators into the handler's request as conditions.
func askConfirmation(old *store.Entry, h http.Header) request {
	tag, modified := validators(old)
	if tag != "" {
		h["If-None-Match"] = []string{tag}
	}
	if modified != "" {
		h["If-Modified-Since"] = []string{modified}
	}
	if tag == "" && modified == "" {
		return whole
	}
	return confirmation
}

// validators are the entity tag and the date by which the entry can be asked for again; "" for what it has not. No condition
// is made of a tag or a date that is malformed, or of several: origins read them each in their own way, and one that takes
// such a date for a late one would confirm what has changed.
func validators(e *store.Entry) (tag, modified string) {
	if lines := e.Lines("Etag"); len(lines) == 1 && rfc9111.WeakMatch(lines[0], lines[0]) {
		tag = lines[0]
	}
	if lines := e.Lines("Last-Modified"); len(lines) == 1 {
		if _, ok := rfc9111.ParseDate(lines[0], time.Now()); ok {
			modified = lines[0]
		}
	}
	return tag, modified
}

// askMissing asks for the bytes that the stored part lacks, if they are in one piece.
func askMissing(old *store.Entry, h http.Header, most int64) request {
	part, ok := rfc9111.ParseContentRange(old.Lines("Content-Range"))
	lacks, one := part.Missing()
	tag := rfc9111.First(old.Lines("Etag"))
	strong := rfc9111.StrongMatch(tag, tag)
	if !ok || !one || part.Complete > most || !part.Fits(old.Body) || tag != "" && !strong {
		return whole
	}
	h["Range"] = []string{lacks.String()}
	if strong { // without, the new part must bring one that the old part lacked, or the whole is asked for
		h["If-Range"] = []string{tag}
	}
	return missing
}

// confirms reports whether a 304 is about the stored response (§4.3.4): if it has a validator, it must be the stored one's. A
// strong tag is that of a response which has it strong: another that has it weak may have other bytes, which must not be put
// together with those of the strong one. A weak tag may be that of either. A 304 without any is about what it was asked for.
func confirms(rec *recorder, old *store.Entry) bool {
	if tag, stored := rfc9111.First(rec.fieldOf("Etag")), rfc9111.First(old.Lines("Etag")); tag != "" {
		return tag == stored || strings.HasPrefix(tag, "W/") && rfc9111.WeakMatch(tag, stored)
	}
	modified, stored := rfc9111.First(rec.fieldOf("Last-Modified")), rfc9111.First(old.Lines("Last-Modified"))
	return modified == "" || modified == stored || stored == "" && old.Lines("Etag") != nil
}

// contradicts reports whether a response to HEAD has a validator that is not the stored response's (§4.3.5).
func contradicts(rec *recorder, old *store.Entry) bool {
	tag, modified := rfc9111.First(rec.fieldOf("Etag")), rfc9111.First(rec.fieldOf("Last-Modified"))
	return tag != "" && !confirms(rec, old) || modified != "" && modified != rfc9111.First(old.Lines("Last-Modified"))
}

// validated reports whether the response has a validator.
func validated(rec *recorder) bool {
	return rfc9111.First(rec.fieldOf("Etag")) != "" || rfc9111.First(rec.fieldOf("Last-Modified")) != ""
}

// renew makes the run's entry of the stored answer and what the handler has said of it. Where the two do not belong
// together the handler is run again, without conditions.
func (hr *httpRules) renew(f *fetch) readthrough.Verdict {
	rec, old, e := f.rec, f.rec.run.Old, f.rec.run.Entry
	rec.restore() // what interim responses have put there
	ok := rec.phase == recorded && f.err == nil && !rec.said.HasFailed()
	if ok && rec.asked == confirmation {
		ok = confirms(rec, old)
		e.Status, e.Body = old.Status, old.Body
	} else if ok {
		ok = rec.status == http.StatusPartialContent && join(rec, old, rec.compact()) && e.Status == http.StatusOK
	}
	if !ok {
		return hr.anew(f)
	}
	freshen(rec, old)
	e.Labels = slices.Clip(old.Labels)
	storable := hr.storableRenewed(rec)
	if rec.reason = f.settle(); rec.reason == "" {
		rec.reason = storable
	}
	if rec.reason == "" && f.part && !f.call.Still(old) { // a run for the whole has come first: see readthrough.Call.GetPart
		rec.reason = ReasonOvertaken
	}
	if rec.reason == "" {
		supersede(rec, old, f.p.resource)
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

// hold notes of a head that the client does not get what renew needs.
func (hr *httpRules) hold(rec *recorder, h http.Header) {
	rec.http.verdict = hr.verdict(rec, rec.status, h)
	hr.fields(rec, h)
}

// disowns reports whether a response that may not be kept for the reason says so of the stored one that it is about, too
// (§3.2, §4.3.4): its directives take the place of the stored ones. What comes of one client's cookie or
// authorization says nothing of others.
func disowns(reason Reason) bool {
	switch reason {
	case ReasonNoStore, ReasonPrivate, ReasonControl, ReasonVary:
		return true
	}
	return false
}

// storableRenewed judges the stored fields together with those of the new response, and leaves out what the directives of
// the two together say must not be stored.
func (hr *httpRules) storableRenewed(rec *recorder) Reason {
	e, age := rec.run.Entry, rec.http.verdict.Age // which the new response alone tells: no Age is stored
	reason := hr.judge(rec, e.Status, headerOf(e, rec.outer))
	rec.http.verdict.Age = age
	for _, name := range rec.http.verdict.Omit {
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
func (hr *httpRules) anew(f *fetch) readthrough.Verdict {
	run := f.rec.run
	f.rec.end()
	f.unconditional, f.err = true, nil
	run.Entry.Labels = nil
	return f.run(run, new(retained))
}

// part makes of a response to HEAD what it means to the stored one (§4.3.5), if it means anything. Else it is for those alone
// who wait for the same part.
func (hr *httpRules) part(f *fetch) readthrough.Verdict {
	rec, v := f.rec, f.rec.http.verdict
	if f.r.Method == http.MethodHead {
		if hr.update(f) {
			return readthrough.Cacheable
		}
		rec.http.verdict = v
	}
	return f.shareOnly(hr.variantOf(&f.p, f.r, v.Vary), v.Fresh <= v.Age)
}

// update updates the stored response by one to HEAD, if it is about the same representation, and else takes the stored one
// for stale. It reports whether there is anything to be kept.
func (hr *httpRules) update(f *fetch) bool {
	rec, old, e := f.rec, tells(f), f.rec.run.Entry
	switch {
	case old == nil:
		return false
	case !agrees(rec, old):
		rec.run.MarkUncacheable() // those who wait want the new one
		return outdate(rec.run, old)
	case old.Status == http.StatusPartialContent: // it tells nothing of a part
		return false
	}
	e.Status, e.Body, e.Labels = old.Status, old.Body, slices.Clip(old.Labels)
	freshen(rec, old)
	if rec.reason = hr.storableRenewed(rec); rec.reason == "" {
		rec.reason = f.settle()
	}
	if rec.reason != "" {
		return false
	}
	supersede(rec, old, f.p.resource)
	return true
}

// supersede has the stored response forgotten that the run's entry is made of, where the two have keys of their own, because
// it varies by more than it did. Under the resource's key is its index by then.
func supersede(rec *recorder, old *store.Entry, resource keying.Key) {
	if old.Key != rec.run.Entry.Key && old.Key != resource {
		rec.run.Replaced = append(rec.run.Replaced, old.Key)
	}
}

// tells is the stored response that one to HEAD tells of: what it was to be validated against, or what did for others. It tells
// of none where the store has another by now, or none since a purge: the handler may have seen what was before.
func tells(f *fetch) *store.Entry {
	old := cmp.Or(f.rec.run.Old, f.p.whole)
	if !about(f.rec, old) || !f.call.Still(old) {
		return nil
	}
	return old
}

// about reports whether a response to HEAD is about the stored one (§4.3.5): other statuses than its own change nothing.
func about(rec *recorder, old *store.Entry) bool {
	return old != nil && rec.r.Method == http.MethodHead && rec.status == wholeStatus(old)
}

// agrees reports whether a response to HEAD is about the representation that is stored: what it has of validators, length and
// body is the same. One that has nothing of these may be about anything: to take the stored one for stale costs a run, and to
// take it for good might keep what is long changed.
func agrees(rec *recorder, old *store.Entry) bool {
	size := int64(rec.size())
	switch {
	case contradicts(rec, old), rec.declared >= 0 && rec.declared != wholeSize(old):
		return false
	case size > 0 && old.Status != http.StatusPartialContent: // the handler has written what net/http does not send
		return bytes.Equal(rec.compact(), old.Body)
	}
	return size > 0 || rec.declared >= 0 || validated(rec) || wholeSize(old) == 0
}

// outdates makes of a response to HEAD that must not be stored what it says of the stored one: that this is not valid any more.
func (hr *httpRules) outdates(f *fetch) bool {
	if !disowns(f.rec.reason) {
		return false
	}
	old := tells(f)
	return old != nil && outdate(f.rec.run, old)
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
	if part, ok := rfc9111.ParseContentRange(e.Lines("Content-Range")); ok && e.Status == http.StatusPartialContent {
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

// copyFields copies the named fields of one header into another.
func copyFields(to, from http.Header, names ...string) {
	for _, name := range names {
		if lines := from[name]; lines != nil {
			to[name] = append([]string(nil), lines...)
		}
	}
}
