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

// A stored response that may not be served as it is can often be reused after validation (RFC 9111 §4.3). The handler gets a
// smaller request than the client's, and its response is combined with the stored one:
//
//	stored                    the handler is asked      and responds    the client gets, and the store takes
//	a whole, stale            If-None-Match, or -Since  304             the stored body, fresh again
//	the same                  the same                  200             the new response: an ordinary run
//	a part, bytes 0-99        Range: bytes=100-         206             the whole
//	a whole                   HEAD, as the client       200 without a   the stored response with new fields, or
//	                                                    body            nothing: it is outdated now
//
// If the two do not fit together, the client has got nothing yet, so the handler runs once more, without conditions.

// ask adds conditions to the handler's request, a copy, so that the stored response can be reused. A client that wants a range
// gets it from the handler, unless a whole stored response can be validated.
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

// askConfirmation adds the stored validators to the handler's request as conditions.
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

// validators returns the entity tag and the date that a condition can use; "" for one that the entry lacks. A malformed tag or
// date, or one of several, is not used: origins parse those differently, and one that reads such a date as a later one would
// confirm what has changed.
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

// askMissing requests the bytes that the stored part lacks, if they are contiguous. It does so without a tag too: a handler
// that ignores Range sends the whole then, and only one that sends a part runs once more, because parts without a strong tag
// cannot be joined.
func askMissing(old *store.Entry, h http.Header, most int64) request {
	part, ok := rfc9111.ParseContentRange(old.Lines("Content-Range"))
	lacks, one := part.Missing()
	tag := rfc9111.First(old.Lines("Etag"))
	strong := rfc9111.StrongMatch(tag, tag)
	if !ok || !one || part.Complete > most || !part.Fits(old.Body) || tag != "" && !strong {
		return whole
	}
	h["Range"] = []string{lacks.String()}
	if strong {
		h["If-Range"] = []string{tag}
	}
	return missing
}

// confirms reports whether a 304 is about the stored response (§4.3.4): a validator in it must match the stored one. A strong
// tag matches only itself: a response that has the same tag as a weak one may have other bytes, and the two must not be
// combined. A weak tag matches both forms. A 304 without a validator is about the response that was to be validated.
func confirms(rec *recorder, old *store.Entry) bool {
	if tag, stored := rfc9111.First(rec.fieldOf("Etag")), rfc9111.First(old.Lines("Etag")); tag != "" {
		return tag == stored || strings.HasPrefix(tag, "W/") && rfc9111.WeakMatch(tag, stored)
	}
	modified, stored := rfc9111.First(rec.fieldOf("Last-Modified")), rfc9111.First(old.Lines("Last-Modified"))
	return modified == "" || modified == stored || stored == "" && old.Lines("Etag") != nil
}

// contradicts reports whether a response to HEAD has a validator that differs from the stored one (§4.3.5).
func contradicts(rec *recorder, old *store.Entry) bool {
	tag, modified := rfc9111.First(rec.fieldOf("Etag")), rfc9111.First(rec.fieldOf("Last-Modified"))
	return tag != "" && !confirms(rec, old) || modified != "" && modified != rfc9111.First(old.Lines("Last-Modified"))
}

// validated reports whether the response has a validator.
func validated(rec *recorder) bool {
	return rfc9111.First(rec.fieldOf("Etag")) != "" || rfc9111.First(rec.fieldOf("Last-Modified")) != ""
}

// renew builds the run's entry from the stored response and what the handler has said about it. If the two do not belong
// together, the handler runs again, without conditions.
func (hr *httpRules) renew(f *fetch) readthrough.Verdict {
	rec, old, e := f.rec, f.rec.run.Old, f.rec.run.Entry
	rec.restore() // interim responses may have set fields there
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
	if rec.reason == "" && f.part && !f.call.Still(old) { // a run for the whole response came first: see readthrough.Call.GetPart
		rec.reason = ReasonOvertaken
	}
	if rec.reason == "" {
		supersede(rec, old, f.p.resource)
		return readthrough.Renew
	}
	// It is good for this client only.
	rec.run.Index, rec.run.Replaced = nil, nil
	e.Fresh, e.WhileRevalidate, e.IfError, e.IfValidated = 0, 0, 0, 0
	if disowns(storable) || rec.reason == ReasonHandler {
		rec.run.Replaced = []keying.Key{old.Key}
	}
	return readthrough.Renew
}

// hold notes what renew needs of a head that the client does not get.
func (hr *httpRules) hold(rec *recorder, h http.Header) {
	rec.http.verdict = hr.verdict(rec, rec.status, h)
	hr.fields(rec, h)
}

// disowns reports whether a response that must not be stored for this reason also rules out the stored response that it is
// about (§3.2, §4.3.4): its directives replace the stored ones. A reason that comes from one client's cookie or authorization
// says nothing about others.
func disowns(reason Reason) bool {
	switch reason {
	case ReasonNoStore, ReasonPrivate, ReasonControl, ReasonVary:
		return true
	}
	return false
}

// storableRenewed judges the stored fields combined with those of the new response, and leaves out the fields that the combined
// directives forbid to store.
func (hr *httpRules) storableRenewed(rec *recorder) Reason {
	e, age := rec.run.Entry, rec.http.verdict.Age // only the new response has an Age: it is never stored
	reason := hr.judge(rec, e.Status, headerOf(e, rec.outer))
	rec.http.verdict.Age = age
	for _, name := range rec.http.verdict.Omit {
		e.Header, e.Added = makeHeader(withoutField(e.Header.Fields(), name)), withoutField(e.Added, name)
	}
	return reason
}

// headerOf returns the header of a response that is replayed from the entry onto outer.
func headerOf(e *store.Entry, outer http.Header) http.Header {
	h := outer.Clone()
	if h == nil {
		h = http.Header{}
	}
	apply(h, e, false)
	return h
}

// anew runs the handler once more, for the whole response: nothing has gone to the client so far.
func (hr *httpRules) anew(f *fetch) readthrough.Verdict {
	run := f.rec.run
	f.rec.end()
	f.unconditional, f.err = true, nil
	run.Entry.Labels = nil
	return f.run(run, new(retained))
}

// part applies a response to HEAD to the stored one (§4.3.5), if it can. Otherwise the response is only for the requests that
// wait for the same part.
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

// update updates the stored response from a response to HEAD that describes the same representation; any other one makes it
// stale. It reports whether there is something to store.
func (hr *httpRules) update(f *fetch) bool {
	rec, old, e := f.rec, tells(f), f.rec.run.Entry
	switch {
	case old == nil:
		return false
	case !agrees(rec, old):
		rec.run.MarkUncacheable() // waiting requests want the new one
		return outdate(rec.run, old)
	case old.Status == http.StatusPartialContent: // HEAD says nothing about a part
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

// supersede deletes the stored response that the run's entry is made from, if the entry has another key because it varies by
// more fields. The resource's key holds their index by then.
func supersede(rec *recorder, old *store.Entry, resource keying.Key) {
	if old.Key != rec.run.Entry.Key && old.Key != resource {
		rec.run.Replaced = append(rec.run.Replaced, old.Key)
	}
}

// tells returns the stored response that a response to HEAD is about: the one to be validated, or the one that other requests
// may be served with. It returns nil if the store has another one by now, or none since a purge: the handler may have seen the
// state before.
func tells(f *fetch) *store.Entry {
	old := cmp.Or(f.rec.run.Old, f.p.whole)
	if !about(f.rec, old) || !f.call.Still(old) {
		return nil
	}
	return old
}

// about reports whether a response to HEAD is about the stored one (§4.3.5): if the statuses differ, it changes nothing.
func about(rec *recorder, old *store.Entry) bool {
	return old != nil && rec.r.Method == http.MethodHead && rec.status == wholeStatus(old)
}

// agrees reports whether a response to HEAD describes the stored representation: the validators, length and body that it has
// are the same. A response with none of these may describe anything. Taking the stored one for stale then costs a run; taking
// it for fresh could keep outdated content.
func agrees(rec *recorder, old *store.Entry) bool {
	size := int64(rec.size())
	switch {
	case contradicts(rec, old), rec.declared >= 0 && rec.declared != wholeSize(old):
		return false
	case size > 0 && old.Status != http.StatusPartialContent: // the handler has written a body, which net/http does not send
		return bytes.Equal(rec.compact(), old.Body)
	}
	return size > 0 || rec.declared >= 0 || validated(rec) || wholeSize(old) == 0
}

// outdates makes the stored response stale if a response to HEAD that must not be stored says that it is no longer valid.
func (hr *httpRules) outdates(f *fetch) bool {
	if !disowns(f.rec.reason) {
		return false
	}
	old := tells(f)
	return old != nil && outdate(f.rec.run, old)
}

// wholeStatus is the status of the whole response that the entry is, or is a part of.
func wholeStatus(e *store.Entry) int {
	if e.Status == http.StatusPartialContent {
		return http.StatusOK
	}
	return e.Status
}

// wholeSize is the length of that response in bytes.
func wholeSize(e *store.Entry) int64 {
	if part, ok := rfc9111.ParseContentRange(e.Lines("Content-Range")); ok && e.Status == http.StatusPartialContent {
		return part.Complete
	}
	return int64(len(e.Body))
}

// outdate makes the run's entry a copy of the old one that is stale from now on. If it is of no use then, it is deleted.
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
