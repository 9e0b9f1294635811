package middleware

import (
	"net/http"
	"strconv"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/internal/steering"
)

// A recorder is the ResponseWriter of a handler whose response may be stored. It answers the client while it makes a copy. Like
// every ResponseWriter it is for one goroutine.
//
// With the copy it is in one of three states:
//
//	recording   keeping                 the copy grows with each write
//	passing     not keeping, not done   the response is not for storing, as reason says: writes go straight to the client
//	returned    done                    the handler has returned; the copy may be an entry's and is not touched any more
//
// abandon leads from recording to passing, end to returned. No way leads back.
//
// Beside that the client gets one of four things:
//
//	all of it           the usual case
//	the head alone      mute: it has the body already (304)
//	a stored response   mute and held: a stale one stands in for a failure (failed), or the handler was asked to renew it
//	nothing more        over: the handler has written more than its Content-Length
//
// The head says what the cache did (Cache-Status), so it waits (unsent) for as long as it would wait without a cache: until the body
// outgrows what net/http holds back, until the handler flushes or takes the connection, or until the handler has returned. Only
// in the last case the store has answered by then.
type recorder struct {
	rt    *Route
	w     http.ResponseWriter // the client's, or that of outer middleware
	r     *http.Request       // as the client sent it
	run   *readthrough.Run    // nil: nothing is to be kept
	outer http.Header         // the header as outer middleware left it before the handler ran
	own   http.Header         // the header that the handler changes; nil: it changes that of w itself
	ctx   *runContext
	said  *steering.Steering // what the handler says while it runs

	status   int
	declared int64   // Content-Length, -1 if unknown
	user     string  // who the user is, if that is known
	fwd      string  // why the request came to the handler; "": a miss
	reason   Reason  // why the response is not stored
	keeping  bool    // a copy is being made
	wrote    bool    // the status is known
	unsent   bool    // … and the head has not gone to the client yet
	odd      bool    // a field has a name that is not in canonical form
	mute     bool    // the client gets none of the body
	over     bool    // the handler wrote more than it declared: nothing of that, nor of what follows, is sent
	done     bool    // the handler has returned
	left     bool    // … and has written nothing: a framework's error page comes through here
	sending  bool    // the writer behind is being written to
	trailing bool    // it may have set trailers that it had not announced
	held     bool    // nothing of the response is for the client
	failed   bool    // … because a stale response stands in for a failure
	spoilt   bool    // what is written from now on belongs to an error page: the copy must not have it
	implied  bool    // the head came with the first write
	untyped  bool    // … and told no type
	touched  bool    // the header may have been changed since the head
	part     bool    // the response is not whole: it is copied only for those who wait for it
	spares   bool    // a part must not be stored: it would take the place of a stored whole
	changes  bool    // the method is unsafe: a success invalidates
	level    uint8   // … and so much of the path says where: see keys.Area
	asked    request // what the handler was asked for instead of a whole answer

	http      *httpHead        // RFC 9111 mode: what is noted of the head, from when the handler is asked
	control   *rfc9111.Control // policy mode: what the whole header says, whoever set it; not to be changed
	lifetime  time.Duration    // … and how long it allows, -1 if it does not say
	*captured                  // the header to store, pooled: there from begin to forget
	body      []byte           // the copy, or its last piece; the capacity of all pieces is what it has reserved
	full      [][]byte         // the pieces before, of a long body
	reserved  int              // bytes of the common bound on recorded bytes
	sender    *sender
	fate      readthrough.Fate // what became of the entry that was made of the response
}

// begin makes the zero recorder one for a response to the request. Without a run it begins as passing: nothing is stored. While it
// records, the handler gets a header of its own, because the client's may be in use by the goroutine that sends.
func (rec *recorder) begin(rt *Route, w http.ResponseWriter, r *http.Request, run *readthrough.Run) {
	rec.rt, rec.w, rec.r, rec.run, rec.keeping, rec.declared = rt, w, r, run, run != nil, -1
	rec.trailing = true
	if rec.keeping {
		rec.captured = captures.Get().(*captured)
		rec.asking = time.Now()
		rec.own = http.Header{}
		if h := w.Header(); len(h) > 0 {
			rec.outer, rec.own = h.Clone(), h.Clone()
		}
	}
}

// WriteHeader judges the response by its head: if it may be stored, the head waits; if not, it goes out at once. Interim responses
// (1xx) pass, with the header as it is then, and change nothing (RFC 9110 §15.2); 101 hands the connection over, so nothing is
// stored. A second head is a fault of the handler's, which net/http reports; here it may mean that the page turns into an error page.
func (rec *recorder) WriteHeader(status int) {
	if rec.left && !rec.wrote && status >= 200 {
		rec.lateHead(status)
		return
	}
	if rec.wrote || status < 200 {
		if status == http.StatusSwitchingProtocols {
			rec.abandon(ReasonUpgrade)
			rec.wrote, rec.status = true, status
		}
		if !rec.wrote || status == http.StatusSwitchingProtocols {
			rec.publish()
		} else {
			rec.late(status)
		}
		if !rec.held && !rec.unsent && rec.sender == nil {
			rec.w.WriteHeader(status) // net/http complains of a second one itself
		}
		return
	}
	if rec.head(status); !rec.keeping {
		rec.sendHead(nil)
	}
}

// abandon leads from recording to passing. The order matters:
//
//  1. Those who wait for the response are let go (MarkUncacheable). They must not wait for a client that reads slowly.
//  2. The handler's context ends with its client again: nobody else will have the response.
//  3. The client gets what is recorded so far. From now on it gets the rest directly.
//
// Once the handler has returned it is too late: the copy may be an entry's.
func (rec *recorder) abandon(reason Reason) {
	if !rec.keeping || rec.done {
		return
	}
	sender, pieces, body := rec.sender, rec.pieces(), rec.body
	rec.sender = nil
	rec.drop(reason)
	rec.run.MarkUncacheable()
	rec.ctx.followClient()
	if sender != nil {
		sender.drain(pieces...) // nothing of it became an entry's
		return
	}
	rec.sendHead(body)
	if len(body) > 0 && !rec.mute {
		_, _ = rec.write(body) // the handler meets the error with its next write
	}
}

// drop forgets the copy and gives its memory back.
func (rec *recorder) drop(reason Reason) {
	rec.keeping, rec.reason = false, reason
	rec.release()
}

// finish sends what is left, after the run has ended and the store has answered: so those who wait for the response have it
// already, and a slow client holds up nobody. A handler that wrote nothing leaves the head to net/http, which must find it complete.
func (rec *recorder) finish() {
	defer rec.end() // a writer outside may panic
	if rec.sender != nil {
		sender := rec.sender
		rec.sender = nil
		if rec.full != nil {
			sender.drain(rec.pieces()...) // of no entry: those are in one piece
		} else {
			sender.drain()
		}
	} else if rec.unsent {
		rec.sendHead(rec.body)
		if !rec.mute && (rec.implied || len(rec.body) > 0) {
			_, _ = rec.write(rec.body)
		}
	}
	if !rec.wrote {
		h := rec.folded()
		rec.invalidate(http.StatusOK, h)
		rec.privatize(h)
		rec.speak(h)
		rec.addCacheStatus(h)
		rec.left, rec.own = true, nil
	}
	rec.publishTrailers()
}

// end lets go of pooled memory. A handler may retain its ResponseWriter, and may even write to it later: so the recorder itself is
// garbage afterwards, never pooled, and finds nothing here that another request uses. Further calls do nothing.
func (rec *recorder) end() {
	rec.release()
	rec.forget()
	rec.run, rec.keeping, rec.done = nil, false, true
}

// Header returns the handler's own header while a copy is made. The client's header may be in use by the goroutine that sends, since
// writers outside change it when they are written to. While the recorder itself writes to them, functions that they call (echo's
// Before, for example) get the header that is being sent, so that they can add to it.
func (rec *recorder) Header() http.Header {
	if rec.own != nil && !rec.sending {
		rec.touched = rec.wrote
		return rec.own
	}
	return rec.w.Header()
}

// publish copies the handler's header into the client's, and returns that. Slices are clipped, so that outer middleware that appends does
// not write into the handler's.
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

// folded is publish for a header that is read next: names that are not canonical are folded into those that are (RFC 9110 §5.1).
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

// head takes the handler's status and header, and decides what becomes of the response:
//
//   - a failure that a stale response can stand in for is kept from the client;
//   - an answer to what the cache itself asked for (a 304, a missing range) is kept from the client, too;
//   - everything else is judged, and waits to be sent.
func (rec *recorder) head(status int) {
	rec.wrote, rec.status = true, status
	if rec.fallback() && status >= 500 {
		rec.failed, rec.held, rec.mute = true, true, true
		rec.drop(ReasonStatus)
		return
	}
	if rec.asked != whole && rec.asked.answeredBy(status) {
		rec.hold()
		return
	}
	h := rec.folded()
	rec.declared = declaredLength(h)
	rec.invalidate(status, h)
	if rec.keeping {
		rec.judgeHead(h)
	}
	rec.privatize(h)
	if rec.keeping {
		rec.rt.rules.fields(rec, h)
	}
	rec.unsent = true
}

// dress adds to the head what is known only when it is sent: what the entry says of the body, that parts are served, the policy's own
// fields, Cache-Status. It returns the status that the client gets: 304 if the client has the response already. The body is what
// there is of it so far.
func (rec *recorder) dress(body []byte) (status int) {
	h := rec.w.Header()
	rec.adopt(h)
	if rec.keeping && rec.r.Method == http.MethodGet && rec.status == http.StatusOK && h["Accept-Ranges"] == nil &&
		leftAlone(h["Content-Encoding"], h["Content-Type"], body) {
		h["Accept-Ranges"] = acceptRanges
	}
	rec.speak(h)
	rec.addCacheStatus(h)
	if status = rec.status; rec.run == nil || status != http.StatusOK && status != http.StatusPartialContent {
		return status
	}
	asked := rec.r.Header
	if (asked["If-None-Match"] != nil || asked["If-Modified-Since"] != nil) && notModified(rec.r, h, nil) {
		rec.mute, status = true, http.StatusNotModified
		strip304(h)
	}
	return status
}

// adopt gives the first client what hits will get, if the response is stored by now: the entity tag, the length and the type that were
// made of the body.
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

// hold keeps a response from the client that renews a stored one. The client gets the stored one.
func (rec *recorder) hold() {
	rec.held, rec.mute, rec.odd = true, true, true
	fold(rec.own)
	rec.invalidate(rec.status, rec.own)
	rec.untarget(rec.own)
	rec.declared = declaredLength(rec.own)
	rec.rt.http.hold(rec, rec.own)
}

// judgeHead asks the rule book whether the response may be stored, and abandons the copy if not, or if it would be too long.
func (rec *recorder) judgeHead(h http.Header) {
	reason := rec.rt.rules.storable(rec, h)
	if rec.rt.noVarySearch != nil && h["No-Vary-Search"] == nil {
		h["No-Vary-Search"] = rec.rt.noVarySearch
	}
	if reason != "" {
		rec.abandon(reason)
	} else if rec.declared > rec.rt.maxBody && rec.r.Method != http.MethodHead {
		rec.abandon(ReasonSize)
	}
}

// declaredLength is the Content-Length, -1 if there is none or it is not a length.
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

// restore undoes what the handler did to the client's header: its response is not the client's.
func (rec *recorder) restore() {
	h := rec.w.Header()
	clear(h)
	for name, values := range rec.outer {
		h[name] = values
	}
}

// fallback reports whether a stale response may stand in if this one fails (stale-if-error, RFC 5861 §4).
func (rec *recorder) fallback() bool {
	return rec.run != nil && rec.run.Old != nil && rec.run.Use >= readthrough.OnError
}

// writer returns the recorder with just the optional interfaces that the client's writer has. So a handler that asks whether it can
// flush, hijack or push gets the answer that it would get without a cache.
func (rec *recorder) writer() http.ResponseWriter {
	_, flushes := rec.w.(http.Flusher)
	_, hijacks := rec.w.(http.Hijacker)
	_, pushes := rec.w.(http.Pusher)
	switch {
	case flushes && hijacks && pushes:
		return doingAll{rec}
	case flushes && hijacks:
		return flushingHijacking{rec}
	case flushes && pushes:
		return flushingPushing{rec}
	case hijacks && pushes:
		return hijackingPushing{rec}
	case flushes:
		return flushing{rec}
	case hijacks:
		return hijacking{rec}
	case pushes:
		return pushing{rec}
	}
	return rec
}
