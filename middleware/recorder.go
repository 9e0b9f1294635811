package middleware

import (
	"net/http"
	"strconv"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/internal/steering"
)

// A recorder is the ResponseWriter of a handler whose answer may be kept: the client is answered while a copy is made.
// Once the answer turns out not to be for keeping, it merely passes on. Like every ResponseWriter it is for one
// goroutine.
//
// The head says what the cache did, so it waits for as long as it would wait without a cache: until the body outgrows what
// net/http holds back, until the handler flushes or takes the connection, or until the handler has returned. Only in the
// last case is it known by then whether the store has the answer.
type recorder struct {
	rt    *Route
	w     http.ResponseWriter // the client's, or outer middleware's
	r     *http.Request       // as the client sent it
	run   *readthrough.Run    // nil: nothing is to be kept
	outer http.Header         // the header as outer middleware left it
	own   http.Header         // the header as the handler sees it; nil: the client's writer's itself
	ctx   *runContext
	said  *steering.Steering // what the handler says while it runs

	status   int
	declared int64   // Content-Length, -1 if unknown
	user     string  // who is asking, if that is known
	fwd      string  // why the request came to the handler; "": a miss
	reason   Reason  // why no copy is being made
	keeping  bool    // a copy is being made
	wrote    bool    // the handler's head is known
	unsent   bool    // … and has not gone to the client: what it says of the cache is not known yet
	odd      bool    // a field has a name that is not in canonical form
	mute     bool    // the client gets none of the body: it has it (304), or is to get a stale answer instead
	over     bool    // the handler wrote more than it declared: nothing of that, nor of what follows, is sent
	done     bool    // the handler has returned
	left     bool    // … and has written nothing: whoever answers in its place does so through here
	sending  bool    // the writer behind is being written to
	trailing bool    // it may have set trailers that it had not announced
	held     bool    // nothing of the answer is for the client
	failed   bool    // … because it is a failure that a stale one stands in for
	spoilt   bool    // what is written from now on belongs to an error page
	implied  bool    // the head came with the first write
	untyped  bool    // … and told no type
	touched  bool    // the header may have been changed since the head
	part     bool    // the answer is not whole, and is copied for those alone who wait for it
	spares   bool    // … as it is if it is a part: there is a whole that it would take the place of
	changes  bool    // the method is unsafe: a success invalidates
	level    uint8   // … and so much of the path says where: see keys.Area
	asked    request // what the handler was asked for instead of a whole answer

	http      *httpHead        // RFC 9111 mode: what is noted of the head, from when the handler is asked
	control   *rfc9111.Control // policy mode: what the whole header says, whoever set it; not to be changed
	lifetime  time.Duration    // … and how long it allows, -1 if it does not say
	*captured                  // the header, and what it tells of the answer's age; there from when a copy is begun until forget
	body      []byte           // or its last piece; the pieces' capacity is what the copy has reserved
	full      [][]byte         // the pieces before, where it is long
	reserved  int              // bytes of the room for recording that this copy takes
	pump      *pump
	fate      readthrough.Fate // of the entry that was made of the answer
}

// begin makes the zero recorder one of an answer to the request; without a run nothing is kept.
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

// WriteHeader decides from the head whether the answer may be kept; if so the head waits. Interim answers pass (RFC 9110
// §15.2).
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
		if !rec.held && !rec.unsent && rec.pump == nil {
			rec.w.WriteHeader(status) // net/http complains of a second one itself
		}
		return
	}
	if rec.head(status); !rec.keeping {
		rec.sendHead(nil)
	}
}

// abandon gives up the copy: the client gets what is recorded so far, and from now on all else directly; those who wait
// for the answer are let go, and the handler ends with its client again. Once the handler has returned it is too late: the
// copy may be an entry's.
func (rec *recorder) abandon(reason Reason) {
	if !rec.keeping || rec.done {
		return
	}
	pump, pieces, body := rec.pump, rec.pieces(), rec.body
	rec.pump = nil
	rec.drop(reason)
	rec.run.MarkUncacheable()
	rec.ctx.followClient()
	if pump != nil {
		pump.drain(pieces...) // nothing of it became an entry's
		return
	}
	rec.sendHead(body)
	if len(body) > 0 && !rec.mute {
		_, _ = rec.write(body) // the handler meets the error with its next write
	}
}

// drop forgets the copy.
func (rec *recorder) drop(reason Reason) {
	rec.keeping, rec.reason = false, reason
	rec.release()
}

// finish sends what is left of a recorded answer, after the flight has ended. A handler that wrote nothing leaves the
// head to net/http, which must find it complete.
func (rec *recorder) finish() {
	defer rec.end() // a writer outside may panic
	if rec.pump != nil {
		pump := rec.pump
		rec.pump = nil
		if rec.full != nil {
			pump.drain(rec.pieces()...) // of no entry: those are in one piece
		} else {
			pump.drain()
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
		rec.tellStatus(h)
		rec.left, rec.own = true, nil
	}
	rec.publishTrailers()
}

// end lets go of all that is not the recorder's own: a handler may keep it, and may even use it. Further calls do nothing.
func (rec *recorder) end() {
	rec.release()
	rec.forget()
	rec.run, rec.keeping, rec.done = nil, false, true
}

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

// head takes the handler's head, and judges it.
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
	rec.invalidate(rec.status, rec.own)
	rec.untarget(rec.own)
	rec.declared = declaredLength(rec.own)
	rec.rt.http.hold(rec, rec.own)
}

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

// fallback reports whether a stale answer may stand in for one that fails.
func (rec *recorder) fallback() bool {
	return rec.run != nil && rec.run.Old != nil && rec.run.Use >= readthrough.OnError
}

// writer returns the recorder as what the writer behind is: a handler that asks for one of its interfaces gets the answer
// that it would get without a cache.
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
