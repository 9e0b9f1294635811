package middleware

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/store"
)

// headers are the header of a response in three forms: as outer middleware left it before the handler ran, as the handler
// sees and changes it, and as it is captured, to be stored.
//
// What is stored is what the handler did, not what the client got. Outer middleware runs again on every hit: a field that it
// set and the handler left alone is not stored, and of a field to which the handler added lines, only those are.
//
//	outer                        own, when the head comes            captured
//	X-Frame-Options: DENY        X-Frame-Options: DENY               nothing
//	Vary: Origin                 Vary: Origin, Vary: Accept          added: Vary: Accept
//	Server: edge                 (deleted)                           added: Server, without values
//	                             Content-Type: text/html             fields: Content-Type: text/html
//	Cache-Control: no-store      Cache-Control: public               fields: Cache-Control: public
type headers struct {
	// Nil: it was empty.
	outer http.Header
	// Nil: the handler uses the header of the writer outside.
	own http.Header
	*captured

	// A field of own is not spelled in canonical form.
	odd bool
	// Own may have trailers that the handler has not announced.
	trailing bool
	// The head came with the first write, and had no type.
	untyped bool
}

// captured are a response's fields as they are stored; an entry's header is made from them. It is there from when a copy is
// begun until forget. No handler ever sees it, so it is pooled.
type captured struct {
	// What the handler set.
	fields []store.Field
	// What it added to fields of outer middleware's. A field without values is one that it removed.
	added []store.Field
	// All values of fields, one after the other; may have capacity for more.
	values []string

	// When the handler was called.
	asking time.Time
	// In policy mode: the directives of the whole header, whoever set them. Not to be changed: responses share them.
	control *rfc9111.Control
	// … how long they allow to store the response, -1 if they do not say.
	lifetime time.Duration
	// … how old the response was when it came (RFC 9111 §4.2.3).
	age time.Duration

	// As many as most responses have.
	fieldSpace [16]store.Field
	valueSpace [16]string
}

var captures = sync.Pool{New: func() any { return new(captured) }}

// begin gives the handler its own copy of the header outside.
func (hs *headers) begin(outside http.Header) {
	hs.captured = captures.Get().(*captured)
	hs.asking = time.Now()
	hs.own = http.Header{}
	if len(outside) > 0 {
		hs.outer, hs.own = outside.Clone(), outside.Clone()
	}
}

// publish copies the handler's header to the one outside, and returns that. Slices are clipped, so that a writer outside which
// appends to one does not write into the handler's.
func (hs *headers) publish(outside http.Header) http.Header {
	if hs.own != nil {
		clear(outside)
		for name, values := range hs.own {
			hs.odd = hs.odd || http.CanonicalHeaderKey(name) != name
			outside[name] = values[:len(values):len(values)]
		}
	}
	return outside
}

// folded is publish for a header that the cache reads next: names get their canonical form, because their case does not matter
// (RFC 9110 §5.1).
func (hs *headers) folded(outside http.Header) http.Header {
	hs.publish(outside)
	if hs.odd || hs.own == nil {
		fold(outside)
	}
	return outside
}

// fold gives the fields that the cache itself reads or writes their canonical spelling. A handler may have set one without the
// methods of http.Header ("cache-control", "ETag"), and it counts all the same.
func fold(h http.Header) {
	for name, values := range h {
		canonical := http.CanonicalHeaderKey(name)
		if canonical == name {
			continue
		}
		switch canonical {
		case "Access-Control-Allow-Origin", "Age", "Cache-Control", "Cache-Group-Invalidation", "Cache-Groups", "Cache-Status", "Cdn-Cache-Control",
			"Clear-Site-Data", "Connection", "Content-Encoding", "Content-Location", "Content-Range", "Location", "Vary", "Content-Security-Policy",
			"Content-Security-Policy-Report-Only", "Content-Length", "Date", "Etag", "Expires", "Last-Modified":
			delete(h, name)
			h[canonical] = append(h[canonical][:len(h[canonical]):len(h[canonical])], values...)
		}
	}
}

// canonical is the name of a published field in canonical form.
func (hs *headers) canonical(name string) string {
	if hs.odd {
		return http.CanonicalHeaderKey(name)
	}
	return name
}

// capture records what the handler did to the header: see headers. It skips the fields for whose canonical names leave returns
// true. All values are copied.
func (hs *headers) capture(h http.Header, leave func(name string) bool) {
	if hs.captured == nil { // forget gave it back, and the handler still writes
		hs.captured = captures.Get().(*captured)
	}
	hs.fields, hs.added, hs.values = hs.fieldSpace[:0], nil, hs.valueSpace[:0]
	for name, values := range h {
		before, there := hs.outer[name]
		switch {
		case leave(hs.canonical(name)):
		case !there || len(before) == 0:
			hs.set(name, values...) // without values nobody sends it, net/http included
		case slices.Equal(before, values):
		case len(values) > len(before) && slices.Equal(before, values[:len(before)]):
			hs.added = append(hs.added, store.Field{Name: name, Values: slices.Clone(values[len(before):])})
		default:
			hs.set(name, values...)
		}
	}
	for name := range hs.outer {
		if _, there := h[name]; !there && !leave(http.CanonicalHeaderKey(name)) {
			hs.added = append(hs.added, store.Field{Name: name})
		}
	}
}

// set adds a field to what is captured. It copies the values, most often without an allocation.
func (c *captured) set(name string, values ...string) {
	n := len(c.values)
	c.values = append(c.values, values...)
	c.fields = append(c.fields, store.Field{Name: name, Values: c.values[n:len(c.values):len(c.values)]})
}

// fieldOf returns the lines of a field that the handler set.
func (c *captured) fieldOf(name string) []string {
	if lines := linesIn(c.fields, name); lines != nil {
		return lines
	}
	return linesIn(c.added, name)
}

// linesIn returns the values of the named field, nil if it is not there.
func linesIn(fields []store.Field, name string) []string {
	for i := range fields {
		if fields[i].Name == name {
			return fields[i].Values
		}
	}
	return nil
}

// typeChanged reports whether the handler has given a field another value since it was captured.
func (hs *headers) typeChanged(name string) bool {
	sent := linesIn(hs.fields, name)
	if sent == nil && !slices.ContainsFunc(hs.added, func(f store.Field) bool { return f.Name == name && len(f.Values) == 0 }) {
		sent = hs.outer[name]
	}
	return rfc9111.First(hs.own[name]) != rfc9111.First(sent)
}

// forget returns the captured fields to the pool.
func (hs *headers) forget() {
	if hs.captured != nil {
		*hs.captured = captured{}
		captures.Put(hs.captured)
	}
	hs.captured = nil
}

// hasTrailers reports whether the handler has set trailers that it had not announced.
func (hs *headers) hasTrailers() bool {
	for name := range hs.own {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// publishTrailers passes on the trailers that the handler set after the head (RFC 9110 §6.5).
func (hs *headers) publishTrailers(outside http.Header) {
	if hs.trailing {
		for name, values := range hs.own {
			if strings.HasPrefix(name, http.TrailerPrefix) {
				outside[name] = values
			}
		}
	}
	for _, line := range outside["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if values, ok := hs.own[name]; ok {
				outside[name] = values
			}
		}
	}
}

// Header returns a header of the handler's own while a copy is made: the sender may be using the one outside, which writers
// outside change when they are written to. During such a write, functions of theirs may call Header, to set fields of what is
// being sent: they get the one outside.
func (rec *recorder) Header() http.Header {
	if rec.own == nil || rec.sending {
		return rec.w.Header()
	}
	if rec.head != noHead && rec.tail == sameResponse {
		rec.tail = headerSeen
	}
	return rec.own
}

// takeHead takes the handler's status and header, and decides what happens to the response:
//
//   - a failure that a stale response can stand in for is withheld from the client;
//   - a response to our own conditions (a 304, or the missing bytes of a part) is withheld, too;
//   - everything else is judged, and waits to be sent.
func (rec *recorder) takeHead(status int) {
	rec.head, rec.status = headSettled, status
	if status >= 500 && rec.fallback() {
		rec.delivery = staleInstead
		rec.drop(ReasonStatus)
		return
	}
	if rec.asked != whole && rec.asked.answeredBy(status) {
		rec.takeRenewal()
		return
	}
	h := rec.folded(rec.w.Header())
	rec.declared = declaredLength(h)
	rec.invalidate(status, h)
	if rec.keeps() {
		rec.judgeHead(h)
	}
	rec.privatize(h)
	if rec.keeps() {
		rec.rt.rules.fields(rec, h)
	}
	rec.head = headWaits
}

// takeRenewal takes the head of a response that is about the stored one. The client gets the stored one, and nothing of this.
func (rec *recorder) takeRenewal() {
	rec.delivery, rec.odd = renewal, true
	fold(rec.own)
	rec.invalidate(rec.status, rec.own)
	rec.untarget(rec.own)
	rec.declared = declaredLength(rec.own)
	rec.rt.http.hold(rec, rec.own)
}

// judgeHead asks the rule book whether the response may be stored, and gives up the copy if not, or if it would be too long.
func (rec *recorder) judgeHead(h http.Header) {
	reason := rec.rt.rules.storable(rec, h)
	if rec.rt.noVarySearch != nil && h["No-Vary-Search"] == nil {
		h["No-Vary-Search"] = rec.rt.noVarySearch
	}
	if reason != "" {
		rec.abandon(reason)
	} else if rec.declared > rec.most && rec.r.Method != http.MethodHead {
		rec.abandon(ReasonSize)
	}
}

// declaredLength is the Content-Length, or -1 if there is none or it is not a length.
func declaredLength(h http.Header) int64 {
	lines := h["Content-Length"]
	if len(lines) == 0 { // parsing an empty string would allocate an error
		return -1
	}
	n, err := strconv.ParseInt(lines[0], 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// tail says whether what the handler writes after its head belongs to the response. http.Error, called after half of a page was
// sent, writes an error page behind it; that must not be stored. Header leads to headerSeen, the next write checks and leads
// back, and a second head with a 4xx leads to errorPage.
type tail uint8

const (
	sameResponse tail = iota
	headerSeen        // the handler has got the header again, and may have changed it: the next write checks
	errorPage         // the handler has announced an error: what it writes next is the error page
)

// turnsIntoErrorPage reports whether what is written next belongs to an error page. http.Error and its like change the type. A
// writer between the handler and this one may swallow the second status, so that only the header shows it.
func (rec *recorder) turnsIntoErrorPage() bool {
	switch rec.tail {
	case errorPage:
		return true
	case headerSeen:
		rec.tail = sameResponse
		return rec.typeChanged("Content-Type") || rec.typeChanged("X-Content-Type-Options")
	}
	return false
}

// dress adds to the head what is known only when it is sent: what the entry says about the body, Accept-Ranges, the policy's
// own fields, Cache-Status. It returns the status that the client gets: 304 if it already has the response. The body is what
// there is of it so far.
func (rec *recorder) dress(h http.Header, body []byte) (status int) {
	rec.adopt(h)
	if rec.keeps() && rec.r.Method == http.MethodGet && rec.status == http.StatusOK && h["Accept-Ranges"] == nil &&
		leftAlone(h["Content-Encoding"], h["Content-Type"], body) {
		h["Accept-Ranges"] = acceptRanges
	}
	rec.addPolicy(h)
	rec.addCacheStatus(h)
	if status = rec.status; rec.run == nil || status != http.StatusOK && status != http.StatusPartialContent {
		return status
	}
	asked := rec.r.Header
	if (asked["If-None-Match"] != nil || asked["If-Modified-Since"] != nil) && notModified(rec.r, h, nil) {
		rec.delivery, status = headOnly, http.StatusNotModified
		strip304(h)
	}
	return status
}

// adopt gives the first client what hits will get, if the response is stored by now: the length, the type and the entity tag
// that were computed from the body.
func (rec *recorder) adopt(h http.Header) {
	if rec.fate != readthrough.Kept || rec.r.Method != http.MethodGet || rec.status == http.StatusPartialContent {
		return
	}
	for _, name := range [...]string{"Content-Length", "Content-Type", "Etag"} {
		if name == "Content-Length" && h["Transfer-Encoding"] != nil { // a message must not have both (RFC 9112 §6.2)
			continue
		}
		if lines := rec.run.Entry.Header.Lines(name); lines != nil && h[name] == nil {
			h[name] = lines
		}
	}
}

// restore undoes what a handler did to the header outside, if the client does not get its response.
func (rec *recorder) restore() {
	h := rec.w.Header()
	clear(h)
	maps.Copy(h, rec.outer)
}
