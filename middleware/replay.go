package middleware

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/store"
)

// replay answers the request with the entry: whole, without its body for HEAD, as 304 where the client has it already
// (RFC 9110 §13), or the ranges asked for (§14). Header values are the entry's own, clipped: they must not be changed in
// place, and appending to them makes a copy.
func (rt *Route) replay(w http.ResponseWriter, r *http.Request, e *store.Entry, age, left time.Duration, from *source) {
	if rt.Standard || rt.Scheme.Varies() {
		rt.Common.variants.uses.add(&e.Key)
	}
	status := e.Status
	if rt.Observe != nil { // also if a writer outside panics
		defer func() {
			rt.Observe(Event{Route: rt.wholes.of(e, from.pattern), Outcome: from.outcome, Reason: from.reason, Tier: from.tier, Status: status})
		}()
		rt.play(w, r, e, age, left, from, &status)
		return
	}
	rt.play(w, r, e, age, left, from, &status) // here a defer would cost for nothing
}

// play writes the answer, and sets the status before it does if that is another one than the entry's.
func (rt *Route) play(w http.ResponseWriter, r *http.Request, e *store.Entry, age, left time.Duration, from *source, status *int) {
	h := w.Header()
	unmodified := (e.Status == http.StatusOK || e.Status == http.StatusPartialContent) && notModified(r, h, e)
	rt.putHeader(h, e, unmodified, age, left, from)
	switch {
	case unmodified:
		*status = http.StatusNotModified
		w.WriteHeader(http.StatusNotModified)
	case e.Status == http.StatusPartialContent:
		replayPart(w, r, e)
	case r.Method == http.MethodHead:
		if fieldOf(e, "Content-Type") == nil {
			sniff(h, e.Body) // net/http has no body to guess from
		}
		w.WriteHeader(e.Status)
	case e.Status == http.StatusOK && r.Header["Range"] != nil && len(e.Body) > 0:
		*status = rt.replayRanges(w, r, e)
	default:
		replayWhole(w, e)
	}
}

// replayWhole writes the head of 200, too: writers outside take Content-Length away there, and only there.
func replayWhole(w http.ResponseWriter, e *store.Entry) {
	w.WriteHeader(e.Status)
	if len(e.Body) > 0 {
		_, _ = w.Write(e.Body) // an error means that the client has gone: nothing to be done
	}
}

// replayRanges answers with the ranges that the request asks for, or with the whole where it asks for none that is served,
// where it has parts of another answer, or where a compressor may be outside. It returns the status, or 0 if that is 206,
// 416 or 200, as the ranges are.
func (rt *Route) replayRanges(w http.ResponseWriter, r *http.Request, e *store.Entry) int {
	h := w.Header()
	ask, ok := askParts(r, e)
	if ok && !inParts(e, r.Header) {
		ok = false
		delete(h, "Accept-Ranges")
	}
	if !ok || !mayContinue(r, h, e) {
		replayWhole(w, e)
		return e.Status
	}
	delete(h, "Content-Length") // of the part, which ServeContent knows
	http.ServeContent(rt.ranged(w), ask, "", lastModified(h), bytes.NewReader(e.Body))
	return 0
}

// replayNow is replay by an entry's age at that time.
func (rt *Route) replayNow(w http.ResponseWriter, r *http.Request, e *store.Entry, now time.Time, from *source) {
	age, left := e.Life(now)
	rt.replay(w, r, e, age, left, from)
}

// replayPart answers with what the request's range wants of a stored part (RFC 9110 §15.3.7), or with one that was made for
// just the same request, as it is.
func replayPart(w http.ResponseWriter, r *http.Request, e *store.Entry) {
	body := e.Body
	if part, wanted, ok := slice(e, r); ok {
		body = wanted
		h := w.Header()
		h["Content-Range"] = []string{part.String()}
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(body)
}

// source is where a replayed answer comes from, for the record.
type source struct {
	outcome Outcome
	tier    string
	pattern string
	fwd     string // why the request went to the handler all the same; "": it did not
	status  int    // what the handler then answered
	stored  bool   // and whether the answer was kept
	reason  Reason // if not, why
}

// apply does to the header what the handler did, without what describes a body if there is none to be. It reports whether
// that may have left a Cache-Status there.
func apply(h http.Header, e *store.Entry, bodiless bool) (told bool) {
	told = len(h) > 0 || len(e.Added) > 0
	for name, lines := range e.Header.All() {
		if bodiless && describesBody(name) {
			continue
		}
		h[name] = lines
		told = told || name == "Cache-Status"
	}
	for i := range e.Added {
		f := &e.Added[i]
		if len(f.Values) == 0 {
			delete(h, f.Name)
			continue
		}
		before := h[f.Name]
		h[f.Name] = append(before[:len(before):len(before)], f.Values...)
	}
	if bodiless && told { // by outer middleware, perhaps
		strip304(h)
	}
	return told
}

// putHeader does to the header what the handler did, and says how old the answer is and where it comes from.
func (rt *Route) putHeader(h http.Header, e *store.Entry, bodiless bool, age, left time.Duration, from *source) {
	outer := rt.speaks() && (h["Vary"] != nil || h["Cache-Control"] != nil)
	told := apply(h, e, bodiless)
	if rt.Scheme.Private { // whatever outer middleware says this time
		h["Cache-Control"] = rfc9111.MakePrivate(h["Cache-Control"])
		delete(h, "Cdn-Cache-Control")
	}
	if !rt.speaks() || !rt.speak(h, e, outer) {
		h["Age"] = ageLine(int64(age / time.Second))
	}
	if rt.Common.name == "" {
		return
	}
	line := rt.Common.answered(e, from, wholeSeconds(left))
	if told {
		rt.Common.addStatus(h, line)
	} else {
		h["Cache-Status"] = line
	}
}

// ranged is the writer for a part of an answer. ServeContent takes Cache-Control away where no part can be served.
func (rt *Route) ranged(w http.ResponseWriter) http.ResponseWriter {
	if !rt.Scheme.Private {
		return w
	}
	return privateWriter{w}
}

type privateWriter struct{ http.ResponseWriter }

func (w privateWriter) WriteHeader(status int) {
	w.Header()["Cache-Control"] = rfc9111.MakePrivate(w.Header()["Cache-Control"])
	w.ResponseWriter.WriteHeader(status)
}

// wholeSeconds is the ttl of RFC 9211 §2.3, negative for a stale entry.
func wholeSeconds(left time.Duration) int64 {
	if left < 0 {
		left -= time.Second - 1 // 0.5 s past is -1, not 0
	}
	return int64(left / time.Second)
}
