package middleware

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware/rfc9111"
	"github.com/larder-go/cache/store"
)

// Header returns a header of the handler's own while a copy is made: the client's may be in use by the pump, since
// writers outside change it when they are written to.
func (rec *recorder) Header() http.Header {
	if rec.own != nil {
		return rec.own
	}
	return rec.w.Header()
}

// publish makes the client's header what the handler's is, and returns it.
func (rec *recorder) publish() http.Header {
	h := rec.w.Header()
	if rec.own != nil {
		clear(h)
		for name, values := range rec.own {
			h[name] = values[:len(values):len(values)]
		}
	}
	return h
}

// surrender publishes a header that others will send, past the recorder.
func (rec *recorder) surrender() {
	if !rec.wrote {
		rec.privatize(rec.publish())
	}
	rec.own = nil
}

// head takes the handler's head and returns the status that the client is to get.
func (rec *recorder) head(status int) int {
	rec.wrote, rec.status = true, status
	if rec.fallback() && status >= 500 {
		rec.failed, rec.held, rec.mute = true, true, true
		rec.drop(StatusReason)
		return status
	}
	if rec.renews(status) {
		rec.hold()
		return status
	}
	h := rec.publish()
	fold(h)
	rec.declared = declaredLength(h)
	rec.heed(status, h)
	if rec.keeping {
		rec.judgeHead(h)
	}
	rec.privatize(h)
	if rec.keeping {
		rec.capture(h)
	}
	rec.tellStatus(h)
	if (status == http.StatusOK || status == http.StatusPartialContent) && rec.run != nil && notModified(rec.r, h, nil) {
		rec.mute, status = true, http.StatusNotModified
		strip304(h)
	}
	return status
}

// hold keeps an answer from the client that renews a stored one: the client gets that.
func (rec *recorder) hold() {
	rec.held, rec.mute = true, true
	fold(rec.own)
	rec.heed(rec.status, rec.own)
	rec.untarget(rec.own)
	rec.declared = declaredLength(rec.own)
	rec.verdict = rec.rt.verdict(rec, rec.status, rec.own)
	rec.capture(rec.own)
}

func (rec *recorder) judgeHead(h http.Header) {
	var reason Reason
	if rec.rt.Standard {
		reason = rec.rt.storableStandard(rec, rec.status, h)
		if rec.verdict.Fresh <= rec.verdict.Age && rec.r.Method != http.MethodHead {
			rec.run.Refuse() // it may be kept, to be validated; those who wait have no use of it
		}
	} else {
		rec.control, rec.lifetime = rec.rt.lifetime(h)
		reason = rec.rt.storable(rec, h)
	}
	if rec.rt.NoVarySearch != nil && h["No-Vary-Search"] == nil {
		h["No-Vary-Search"] = rec.rt.NoVarySearch
	}
	if reason != "" {
		rec.abandon(reason)
	} else if rec.declared > rec.rt.MaxBody && rec.r.Method != http.MethodHead {
		rec.abandon(SizeReason)
	}
}

// untarget takes away what tells shared caches to keep one user's answer, past its Cache-Control (RFC 9213 §2.2).
func (rec *recorder) untarget(h http.Header) {
	if rec.rt.Scheme.Private {
		delete(h, "Cdn-Cache-Control")
	}
}

// privatize keeps one user's answers from other caches, whoever set their Cache-Control.
func (rec *recorder) privatize(h http.Header) {
	rec.untarget(h)
	switch {
	case !rec.rt.Scheme.Private:
	case rec.reason == IdentityReason:
		h["Cache-Control"] = []string{"private, no-store"}
	default:
		h["Cache-Control"] = rfc9111.MakePrivate(h["Cache-Control"])
	}
}

// tellStatus says what the cache did (RFC 9211).
func (rec *recorder) tellStatus(h http.Header) {
	how, key := "miss", keying.Key{}
	switch {
	case rec.run == nil:
		how = fwd(rec.reason)
	case rec.fwd != "":
		how = rec.fwd
	case rec.run.Old != nil:
		how = "stale"
	}
	if rec.run != nil {
		key = rec.run.Entry.Key
	}
	rec.rt.Common.addStatus(h, rec.rt.Common.forwarded(how, key, rec.reason, rec.keeping && !rec.run.Blind && rec.r.Method != http.MethodHead && rec.stays()))
}

func declaredLength(h http.Header) int64 {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// publishTrailers hands on what the handler set after the head, where that is allowed (RFC 9110 §6.5).
func (rec *recorder) publishTrailers() {
	h := rec.w.Header()
	for name, values := range rec.own {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			h[name] = values
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

// restore takes back what a handler has put into the header whose answer is not the client's.
func (rec *recorder) restore() {
	h := rec.w.Header()
	clear(h)
	for name, values := range rec.outer {
		h[name] = values
	}
}

// stays reports whether, as far as it is known by now, the answer has a time to be kept for.
func (rec *recorder) stays() bool {
	_, ttl, noStore := rec.said.Said()
	e := &store.Entry{Key: rec.run.Entry.Key, Status: rec.status, Header: rec.header, Added: rec.added}
	rec.rt.times(e, rec, ttl)
	return !noStore && e.Keep(time.Now()) > 0
}
