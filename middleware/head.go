package middleware

import (
	"net/http"
	"strconv"

	"github.com/larder-go/cache/internal/readthrough"
)

// Header returns a header of the handler's own while a copy is made: the client's may be in use by the pump, since
// writers outside change it when they are written to. While they are, what they call may come back here to add to what is
// being sent.
func (rec *recorder) Header() http.Header {
	if rec.own != nil && !rec.sending {
		rec.touched = rec.wrote
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
			rec.odd = rec.odd || http.CanonicalHeaderKey(name) != name
			h[name] = values[:len(values):len(values)]
		}
	}
	return h
}

// folded is publish, for a header that will be read.
func (rec *recorder) folded() http.Header {
	h := rec.publish()
	if rec.odd || rec.own == nil {
		fold(h)
	}
	return h
}

// canonical is the name of a published field in canonical form.
func (rec *recorder) canonical(name string) string {
	if rec.odd {
		return http.CanonicalHeaderKey(name)
	}
	return name
}

// surrender publishes a header that others will send, past the recorder.
func (rec *recorder) surrender() {
	if !rec.wrote {
		h := rec.publish()
		rec.privatize(h)
		rec.speak(h)
	}
	rec.own = nil
}

// head takes the handler's head, and judges it.
func (rec *recorder) head(status int) {
	rec.wrote, rec.status = true, status
	if rec.fallback() && status >= 500 {
		rec.failed, rec.held, rec.mute = true, true, true
		rec.drop(ReasonStatus)
		return
	}
	if rec.renews(status) {
		rec.hold()
		return
	}
	h := rec.folded()
	rec.declared = declaredLength(h)
	rec.heed(status, h)
	if rec.keeping {
		rec.judgeHead(h)
	}
	rec.privatize(h)
	if rec.keeping {
		rec.capture(h)
	}
	rec.unsent = true
}

// dress adds to the head what is known of the answer by now, and returns the status that the client is to get. The body is
// what there is of it by now.
func (rec *recorder) dress(body []byte) (status int) {
	h := rec.w.Header()
	rec.adopt(h)
	if rec.keeping && rec.r.Method == http.MethodGet && rec.status == http.StatusOK && h["Accept-Ranges"] == nil &&
		leftAlone(h["Content-Encoding"], h["Content-Type"], body) {
		h["Accept-Ranges"] = acceptRanges
	}
	rec.speak(h)
	rec.tellStatus(h)
	if status = rec.status; (status == http.StatusOK || status == http.StatusPartialContent) && rec.run != nil && notModified(rec.r, h, nil) {
		rec.mute, status = true, http.StatusNotModified
		strip304(h)
	}
	return status
}

// adopt gives the client of an answer that is kept what hits will have: what the entry tells of the body.
func (rec *recorder) adopt(h http.Header) {
	if rec.fate != readthrough.Kept || rec.r.Method != http.MethodGet || rec.status == http.StatusPartialContent {
		return
	}
	for _, name := range [...]string{"Content-Length", "Content-Type", "Etag"} {
		if name == "Content-Length" && h["Transfer-Encoding"] != nil { // one message has not both (RFC 9112 §6.2)
			continue
		}
		if lines := rec.run.Entry.Header.Lines(name); lines != nil && h[name] == nil {
			h[name] = lines
		}
	}
}

// hold keeps an answer from the client that renews a stored one: the client gets that.
func (rec *recorder) hold() {
	rec.held, rec.mute, rec.odd = true, true, true
	fold(rec.own)
	rec.heed(rec.status, rec.own)
	rec.untarget(rec.own)
	rec.declared = declaredLength(rec.own)
	rec.law.verdict = rec.rt.verdict(rec, rec.status, rec.own)
	rec.capture(rec.own)
}

func (rec *recorder) judgeHead(h http.Header) {
	var reason Reason
	if rec.rt.Standard {
		reason = rec.rt.storableStandard(rec, rec.status, h)
		rec.part = rec.part || rec.spares && rec.status == http.StatusPartialContent
		if rec.law.verdict.Fresh <= rec.law.verdict.Age {
			rec.run.MarkUncacheable() // it may be kept, to be validated; those who wait have no use of it
		}
	} else {
		rec.control, rec.lifetime, rec.age = rec.rt.lifetime(h, rec.asking)
		reason = rec.rt.storable(rec, h)
	}
	if rec.rt.NoVarySearch != nil && h["No-Vary-Search"] == nil {
		h["No-Vary-Search"] = rec.rt.NoVarySearch
	}
	if reason != "" {
		rec.abandon(reason)
	} else if rec.declared > rec.rt.MaxBody && rec.r.Method != http.MethodHead {
		rec.abandon(ReasonSize)
	}
}

func declaredLength(h http.Header) int64 {
	lines := h["Content-Length"]
	if len(lines) == 0 { // to parse nothing costs an error
		return -1
	}
	n, err := strconv.ParseInt(lines[0], 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// restore takes back what a handler has put into the header whose answer is not the client's.
func (rec *recorder) restore() {
	h := rec.w.Header()
	clear(h)
	for name, values := range rec.outer {
		h[name] = values
	}
}
