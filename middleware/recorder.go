package middleware

import (
	"errors"
	"net/http"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/steering"
)

// A recorder is the ResponseWriter of a handler whose response may be stored: the client gets the response while a copy of it
// is made. Three parts own its data: client is the writer outside, buffer is the copy of the body, and headers is the header as
// outer middleware left it, as the handler sees it and as it is stored. Four states decide what happens next:
//
//	phase      what happens to what the handler writes
//	head       whether the status is known, and whether the client has it
//	delivery   how much of the response the client gets
//	tail       whether what the handler writes still belongs to its head
//
// Like every ResponseWriter it is for one goroutine.
//
// The head waits, because its Cache-Status says whether the response is stored, and that is unknown until the store has
// answered. It waits as long as net/http would hold it back without a cache. With a short body that is until the end:
//
//	handler                   recorder                                the client gets
//	1. WriteHeader(200)       judges the head, which waits
//	2. Write, 1 KiB           copies it
//	3. returns                the store takes the entry
//	4.                        finish                                  the head, "stored", and the body
//
// With a long one, the client gets the head before the store has answered, and then the body at its own pace:
//
//	handler                   recorder                                the client gets
//	1. WriteHeader(200)       judges the head, which waits
//	2. Write, 5 KiB           copies it: more than net/http holds     the head
//	3. Write, 1 MiB           copies it                               the body, from the sender
//	4. returns                the store takes the entry; the
//	                          requests that wait get it
//	5.                        finish waits for the sender             the rest
type recorder struct {
	rt   *Route
	r    *http.Request      // as the client sent it
	run  *readthrough.Run   // nil: nothing is to be stored
	ctx  *runContext        // nil: the run's context is the client's
	said *steering.Steering // what the handler says while it runs

	client
	buffer
	headers

	phase    phase
	head     head
	delivery delivery
	tail     tail

	implied bool             // the handler left the head to its first write
	fate    readthrough.Fate // of the entry that was made of the response
	asked   request          // what the handler was asked for instead of a whole response
	purpose purpose
	changes bool  // the method is unsafe: a success invalidates
	level   uint8 // … or, if there are too many such, purges the area of this level: see keys.Area

	status int
	reason Reason // why no copy is being made
	user   string // who the user is, if that is known
	fwd    string // why the request came to the handler, as Cache-Status says it; "": a miss

	http *httpHead // RFC 9111 mode: what is noted of the head, from when the handler is called
}

// phase is what happens to what the handler writes.
//
//	phase        a write                      the next phase, and when
//	recording    is copied                    passing: the response must not be stored (abandon)
//	                                          overrun: the handler writes more than its Content-Length says
//	                                          recorded: the handler returns
//	passing      goes to the client           unrecorded: the handler returns
//	overrun      fails, as in net/http        unrecorded: the handler returns
//	recorded     fails                        unrecorded: the whole response is judged, and must not be stored (refuse)
//	                                          ended: the client has the response (finish), or a stored one instead (end)
//	unrecorded   fails                        ended: as above
//	                                          unanswered: the handler has written nothing (finish)
//	ended        fails
//	unanswered   goes to the client
//
// A framework's error page comes in the last phase: the framework has the recorder, and writes the page there when the handler
// has returned an error. A request that bypasses the cache begins in passing, and finish ends it from there.
type phase uint8

const (
	recording phase = iota
	passing
	overrun
	recorded
	unrecorded
	ended
	unanswered
)

// head says whether the status is known, and to whom. It only goes forward. A head that is withheld is settled as soon as it
// comes, and so are those of a 101 and of an error page.
type head uint8

const (
	noHead      head = iota // the handler has not decided
	headWaits               // the handler has, and the client does not have it yet
	headSettled             // the client has it, or never gets it: see delivery
)

// delivery is how much of the response the client gets. The head decides: when it comes (takeHead), or when it is sent (dress), for
// a 304. Later only a failure changes it, while the client has nothing yet: the handler panics (standIn), returns an error
// (fetch.judge), or takes back a renewal (headAgain).
type delivery uint8

const (
	wholeResponse delivery = iota
	headOnly               // a 304: the client has the body
	renewal                // nothing: it is about the stored response, which the client gets
	staleInstead           // nothing: it is a failure, and the client gets the stale response
)

// begin prepares a zero recorder for a response to the request; without a run nothing is stored.
func (rec *recorder) begin(rt *Route, w http.ResponseWriter, r *http.Request, run *readthrough.Run) {
	rec.rt, rec.w, rec.r, rec.run, rec.phase = rt, w, r, run, passing
	rec.bounds, rec.most, rec.declared = rt.common, rt.maxBody, -1
	rec.trailing = true
	if run != nil {
		rec.phase = recording
		rec.headers.begin(w.Header())
	}
}

// keeps reports whether the response is being copied, or was, and may be stored or shared.
func (rec *recorder) keeps() bool { return rec.phase == recording || rec.phase == recorded }

// withheld reports whether the client gets something else in place of the response.
func (rec *recorder) withheld() bool { return rec.delivery >= renewal }

// bodiless reports whether the client gets no body of this response.
func (rec *recorder) bodiless() bool { return rec.delivery >= headOnly }

// WriteHeader judges the response by its head: if it may be stored, the head waits; if not, it goes out at once. A second head
// is a mistake of the handler, which net/http reports; here it may also mean that an error page follows.
func (rec *recorder) WriteHeader(status int) {
	switch {
	case status < 200:
		rec.interim(status)
	case rec.head != noHead:
		rec.headAgain(status)
		rec.passHead(status) // net/http itself complains about a second head
	case rec.phase == unanswered:
		rec.lateHead(status)
	default:
		if rec.takeHead(status); !rec.keeps() {
			rec.sendHead(nil)
		}
	}
}

// errReturned is the error of a write after the handler has returned: a writer that the handler retains must not add to the
// response, nor to what may be an entry by now.
var errReturned = errors.New("cache: written to after the handler returned")

// Write copies p while a copy is made, and sends what the client should have by now. Otherwise it passes p on. It fails where
// net/http's own writer does: if the body is longer than declared, or the status allows none.
func (rec *recorder) Write(p []byte) (int, error) {
	switch {
	case rec.phase == unanswered:
		return rec.lateWrite(p)
	case rec.phase >= recorded:
		return 0, errReturned
	case rec.phase == overrun:
		return 0, http.ErrContentLength
	case rec.withheld() && !bodyAllowed(rec.status):
		return 0, http.ErrBodyNotAllowed
	}
	if !rec.recordable(p) {
		return rec.pass(p)
	}
	if rec.declared >= 0 && int64(rec.size()+len(p)) > rec.declared { // net/http fails such a write, too
		rec.abandon(ReasonLength)
		rec.phase = overrun
		return 0, http.ErrContentLength
	}
	if !rec.add(p) {
		rec.abandon(ReasonBusy)
		return rec.pass(p)
	}
	rec.send()
	return len(p), nil
}

// WriteString is Write, for io.WriteString.
func (rec *recorder) WriteString(s string) (int, error) { return rec.Write([]byte(s)) }

// pass passes on bytes that are not copied.
func (rec *recorder) pass(p []byte) (int, error) {
	if rec.bodiless() {
		return len(p), nil
	}
	return rec.write(p)
}

// recordable takes the head, if the handler has left it to its first write, and reports whether p is to be copied. It gives up
// the copy if p makes it one that must not be stored.
func (rec *recorder) recordable(p []byte) bool {
	if rec.head == noHead {
		rec.takeHead(http.StatusOK)
		rec.implied, rec.untyped = true, rec.own != nil && !typed(rec.own)
	}
	if rec.phase != recording {
		rec.sendHead(nil)
		return false
	}
	switch {
	case !bodyAllowed(rec.status):
		rec.abandon(ReasonLength) // net/http returns the error
	case len(p) > 0 && rec.turnsIntoErrorPage():
		rec.abandon(ReasonLate)
	case int64(rec.size()+len(p)) > rec.most:
		rec.abandon(ReasonSize)
	}
	return rec.phase == recording
}

// buffered is how much of a body waits for the handler's end: about what net/http holds back itself.
const buffered = 4 << 10

// send sends what net/http would not hold back either.
func (rec *recorder) send() {
	switch {
	case rec.bodiless():
	case rec.sender != nil:
		rec.sender.push(rec.full, rec.last)
	case len(rec.last) > buffered:
		if rec.sendHead(rec.last); !rec.bodiless() { // by now it may be a 304
			rec.sender = startSender(rec.w, rec.full, rec.last)
		}
	}
}

// sendHead sends the head, if it waits, before the given body. A head that the handler left to its first write is left to the
// first write to the writer outside, too, if nothing comes before that.
func (rec *recorder) sendHead(body []byte) {
	if rec.head != headWaits {
		return
	}
	rec.head = headSettled
	status := rec.dress(rec.w.Header(), body)
	if rec.implied && !rec.bodiless() {
		if len(body) == 0 {
			return
		}
		sniff(rec.w.Header(), body)
	}
	rec.writeHead(status)
}

// abandon leads from recording to passing. The order matters:
//
//  1. The requests that wait for the response are released: they must not wait for a slow client.
//  2. The run ends with its client again: nobody else will get the response.
//  3. The client gets what is recorded so far, and from now on the rest directly.
//
// Once the handler has returned it is too late: the copy may be an entry's.
func (rec *recorder) abandon(reason Reason) {
	if rec.phase != recording {
		return
	}
	sender, pieces, body := rec.sender, rec.pieces(), rec.last
	rec.sender = nil
	rec.drop(reason)
	rec.run.MarkUncacheable()
	rec.ctx.followClient()
	if sender != nil {
		sender.drain(pieces...) // no entry uses them
		return
	}
	rec.sendHead(body)
	if len(body) > 0 && !rec.bodiless() {
		_, _ = rec.write(body) // the handler gets the error from its next write
	}
}

// drop forgets the copy.
func (rec *recorder) drop(reason Reason) {
	if rec.reason = reason; rec.phase == recording {
		rec.phase = passing
	}
	rec.release()
}

// returned notes that the handler has returned.
func (rec *recorder) returned() {
	if rec.phase == recording {
		rec.phase = recorded
	} else {
		rec.phase = unrecorded
	}
}

// refuse notes why the response is neither stored nor shared, although it was copied.
func (rec *recorder) refuse(reason Reason) { rec.phase, rec.reason = unrecorded, reason }

// finish sends the rest of the response, once the store has answered. The requests that wait for it have it by then, so a slow
// client holds up nobody. If the handler has written nothing, net/http sends the head, and must find it complete.
func (rec *recorder) finish() {
	defer rec.end() // a writer outside may panic
	if sender := rec.sender; sender != nil {
		rec.sender = nil
		if rec.full != nil {
			sender.drain(rec.pieces()...) // no entry uses them: its body is in one piece
		} else {
			sender.drain()
		}
	} else if rec.head == headWaits {
		rec.sendHead(rec.last)
		if !rec.bodiless() && (rec.implied || len(rec.last) > 0) {
			_, _ = rec.write(rec.last)
		}
	}
	if rec.head == noHead {
		h := rec.folded(rec.w.Header())
		rec.invalidate(http.StatusOK, h)
		rec.forClient(h)
		rec.addCacheStatus(h)
		rec.phase, rec.own = unanswered, nil
	}
	rec.publishTrailers(rec.w.Header())
}

// end gives back what is pooled. A handler may retain its ResponseWriter, and even write to it later. So the recorder itself is
// never pooled, and after end it has nothing that another request uses. Further calls do nothing.
func (rec *recorder) end() {
	rec.release()
	rec.forget()
	if rec.run = nil; rec.phase != unanswered {
		rec.phase = ended
	}
}

// writer returns the recorder with just the optional interfaces that the writer outside has, so that a type assertion in the
// handler has the same result as without a cache.
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

// client is the writer outside of the recorder: the client's, or one of outer middleware's.
type client struct {
	w       http.ResponseWriter
	sending bool // it is being written to
}

// writeHead writes the head to the writer outside. Outer middleware may have registered functions there that run meanwhile and
// set header fields: see recorder.Header.
func (c *client) writeHead(status int) {
	c.sending = true
	c.w.WriteHeader(status)
	c.sending = false
}

// write writes a part of the body there. If the head has not been written yet, it goes out with the first part.
func (c *client) write(p []byte) (n int, err error) {
	c.sending = true
	n, err = c.w.Write(p)
	c.sending = false
	return n, err
}
