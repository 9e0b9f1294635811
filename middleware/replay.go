package middleware

import (
	"bytes"
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/store"
)

// replay serves the request with the entry, in one of five forms:
//
//	304                  the client has the response already (RFC 9110 §13)
//	the header alone     HEAD
//	206, or 416          a range of a whole response (§14)
//	206                  a range of a stored part, or the part itself
//	all of it            everything else
//
// Each hit comes here, so nothing is copied: header values are the entry's own, clipped. Appending to them makes a copy; nobody may
// change them in place.
func (rt *Route) replay(w http.ResponseWriter, r *http.Request, e *store.Entry, age, left time.Duration, from *source) {
	if rt.variants {
		rt.common.variants.uses.add(&e.Key)
	}
	status := e.Status
	if rt.observed { // also if a writer outside panics
		defer func() {
			rt.observe(Event{Route: rt.patterns.of(e, from.pattern), Outcome: from.outcome, Reason: from.reason, Tier: from.tier, Status: status})
		}()
		rt.play(w, r, e, age, left, from, &status)
		return
	}
	rt.play(w, r, e, age, left, from, &status) // nobody listens: a defer would cost time for nothing
}

// play writes the response. If the status is not the entry's, it sets the status before it writes, so that the event is right even if a
// writer panics.
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
		if e.Lines("Content-Type") == nil {
			sniff(h, e.Body) // net/http has no body to guess from
		}
		w.WriteHeader(e.Status)
	case e.Status == http.StatusOK && r.Header["Range"] != nil && len(e.Body) > 0:
		*status = rt.replayRanges(w, r, e)
	default:
		replayWhole(w, e)
	}
}

// replayWhole calls WriteHeader for a 200, too: writers outside that change the body remove Content-Length there, and only there.
func replayWhole(w http.ResponseWriter, e *store.Entry) {
	w.WriteHeader(e.Status)
	if len(e.Body) > 0 {
		_, _ = w.Write(e.Body) // an error means that the client has gone: nothing to be done
	}
}

// replayRanges serves the ranges that the request asks for. In three cases it serves the whole response: the request's Range is not one
// that is served, its If-Range names another response, or a compressor outside may change the bytes. It returns the status, or 0 if
// http.ServeContent chooses it: 206, 416 or 200.
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
	delete(h, "Content-Length") // ServeContent sets that of the part
	http.ServeContent(rt.ranged(w), ask, "", lastModified(h), bytes.NewReader(e.Body))
	return 0
}

// replayNow is replay for an entry whose age is still to be computed.
func (rt *Route) replayNow(w http.ResponseWriter, r *http.Request, e *store.Entry, now time.Time, from *source) {
	age, left := e.Life(now)
	rt.replay(w, r, e, age, left, from)
}

// replayPart serves the request's range from a stored part (RFC 9110 §15.3.7). A part that was made for just this range, and is shared
// by equal requests, is sent as it is.
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

// A source says where a replayed response comes from, for the event and Cache-Status.
type source struct {
	outcome Outcome
	tier    string
	pattern string
	// Why the request went to the handler all the same; "": it did not.
	fwd string
	// The status of the handler's response.
	status int
	// Whether that response is stored.
	stored bool
	// If not, why.
	reason Reason
}

// apply does to the header what the handler did when the entry was made: see headers. For a response without a body it leaves out the
// fields that describe one. It reports whether the header may have the Cache-Status of another cache by now.
func apply(h http.Header, e *store.Entry, bodiless bool) (mixed bool) {
	mixed = len(h) > 0 || len(e.Added) > 0
	for name, lines := range e.Header.All() {
		if bodiless && describesBody(name) {
			continue
		}
		h[name] = lines
		mixed = mixed || name == "Cache-Status"
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
	if bodiless && mixed { // by outer middleware, perhaps
		strip304(h)
	}
	return mixed
}

// putHeader applies the entry to the header, and adds what the cache itself says: how old the response is (Age) and where it comes from
// (Cache-Status).
func (rt *Route) putHeader(h http.Header, e *store.Entry, bodiless bool, age, left time.Duration, from *source) {
	outer := rt.speaks() && (h["Vary"] != nil || h["Cache-Control"] != nil)
	mixed := apply(h, e, bodiless)
	if rt.scheme.Private { // whatever outer middleware says this time
		h["Cache-Control"] = rfc9111.MakePrivate(h["Cache-Control"])
		delete(h, "Cdn-Cache-Control")
	}
	if !rt.speaks() || !rt.speak(h, e, outer) {
		h["Age"] = ageLine(int64(age / time.Second))
	}
	if rt.common.name == "" {
		return
	}
	line := rt.common.answered(e, from, wholeSeconds(left))
	if mixed {
		rt.common.addStatus(h, line)
	} else {
		h["Cache-Status"] = line
	}
}

// ranged is the writer for ranges. ServeContent removes Cache-Control where no range can be served, but a per-user response must
// say that it is private even then.
func (rt *Route) ranged(w http.ResponseWriter) http.ResponseWriter {
	if !rt.scheme.Private {
		return w
	}
	return privateWriter{w}
}

// A privateWriter makes each response private that http.ServeContent writes through it, including a 416.
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

// http.ServeContent writes the ranges of a whole response, but which ranges is decided here. ServeContent is not strict enough for a
// cache in three points: it takes "bytes=-0" for a range, it accepts a weak date in If-Range (RFC 9110 §8.8.2.2), and it ignores what
// follows the tag there.

// maxRanges is how many ranges of one body are served. A request for more gets the whole.
const maxRanges = 4

// askParts makes the request that ServeContent gets. It has those of the client's ranges that the entry's body has; if there are none,
// one beyond the end, which leads to a 416. It returns false if the client's Range is not understood, and is therefore ignored (RFC
// 9110 §14.2).
func askParts(r *http.Request, e *store.Entry) (ask *http.Request, ok bool) {
	lines := r.Header["Range"]
	if len(lines) != 1 || r.Method != http.MethodGet {
		return nil, false
	}
	ranges, ok := rfc9111.ParseRange(lines[0])
	if !ok || len(ranges) > maxRanges {
		return nil, false
	}
	size := int64(len(e.Body))
	var specs []string
	for _, wanted := range ranges {
		if part, ok := wanted.Of(size); ok {
			specs = append(specs, strconv.FormatInt(part.First, 10)+"-"+strconv.FormatInt(part.Last, 10))
		}
	}
	if specs == nil {
		specs = []string{strconv.FormatInt(size, 10) + "-"}
	}
	ask = &http.Request{Method: r.Method, Header: http.Header{"Range": {"bytes=" + strings.Join(specs, ",")}}}
	copyFields(ask.Header, r.Header, "If-Unmodified-Since") // the client's other conditions are evaluated already
	if lines := r.Header["If-Match"]; lines != nil {        // ServeContent reads only one line
		ask.Header["If-Match"] = []string{strings.Join(lines, ", ")}
	}
	return ask, true
}

// mayContinue reports whether the parts that the client already has, as its If-Range says, are parts of this entry (RFC 9110 §13.1.5):
// it names the entry's strong tag, or its date.
func mayContinue(r *http.Request, h http.Header, e *store.Entry) bool {
	lines := r.Header["If-Range"]
	if len(lines) == 0 {
		return true
	}
	if len(lines) > 1 {
		return false
	}
	if rfc9111.StrongMatch(lines[0], rfc9111.First(h["Etag"])) {
		return true
	}
	modified := lastModified(h)
	since, ok := rfc9111.ParseDate(lines[0], time.Now())
	return ok && since.Equal(modified) && !madeAt(e).Before(modified.Add(time.Second))
}

// madeAt is when the response was made. A date has a precision of one second: a response that was made in the second of its
// Last-Modified may have been changed again in that second, so the date does not identify it (§8.8.2.2).
func madeAt(e *store.Entry) time.Time {
	if made, ok := rfc9111.ParseDate(rfc9111.First(e.Lines("Date")), e.Stored); ok {
		return made
	}
	return e.Stored
}

// lastModified is the response's Last-Modified, the zero time if it has none.
func lastModified(h http.Header) time.Time {
	t, _ := rfc9111.ParseDate(rfc9111.First(h["Last-Modified"]), time.Now())
	return t
}

// A compressor outside the cache may compress what the cache sends: for one client with one coding, for the next not at all. It also
// compresses a part by itself. A client that puts such parts together gets neither the plain body nor the compressed one. So ranges are
// served in three cases only: compressors leave the response alone, the client accepts no coding, or the handler has set a strong ETag,
// which says that these very bytes are the response.

// inParts reports whether ranges of the stored response may be served to a request with the header.
func inParts(e *store.Entry, h http.Header) bool {
	tag := rfc9111.First(e.Lines("Etag"))
	return rfc9111.StrongMatch(tag, tag) || // the handler's: ours are weak
		!rfc9111.AcceptsCoding(h["Accept-Encoding"]) ||
		leftAlone(e.Lines("Content-Encoding"), e.Lines("Content-Type"), e.Body)
}

// acceptRanges is the field's value (RFC 9110 §14.3).
var acceptRanges = []string{"bytes"}

// compressed are the types that compressors and CDNs have in their lists, besides text and types with a suffix.
var compressed = []string{
	"application/ecmascript", "application/eot", "application/font", "application/font-sfnt", "application/graphql",
	"application/javascript", "application/json", "application/json-seq", "application/jsonl", "application/ndjson",
	"application/opentype", "application/otf", "application/protobuf", "application/rtf", "application/sql",
	"application/toml", "application/truetype", "application/ttf", "application/typescript",
	"application/vnd.apple.mpegurl", "application/vnd.mapbox-vector-tile", "application/vnd.ms-fontobject",
	"application/wasm", "application/x-font-opentype", "application/x-font-otf", "application/x-font-truetype",
	"application/x-font-ttf", "application/x-httpd-cgi", "application/x-javascript", "application/x-mpegurl",
	"application/x-ndjson", "application/x-opentype", "application/x-otf", "application/x-perl",
	"application/x-protobuf", "application/x-sh", "application/x-ttf", "application/x-www-form-urlencoded",
	"application/x-yaml", "application/xml", "application/xml-dtd", "application/yaml", "font/collection", "font/eot",
	"font/opentype", "font/otf", "font/sfnt", "font/ttf", "image/bmp", "image/vnd.microsoft.icon", "image/x-icon",
}

// notModified reports whether the client already has the response (RFC 9110 §13.1.2, §13.1.3). The response's header is h with the
// entry applied to it, or h alone if there is no entry.
//
// If-None-Match, compared weakly, takes precedence over If-Modified-Since. A response without a Last-Modified was modified when it was
// made, at the latest (RFC 9111 §4.3.2).
func notModified(r *http.Request, h http.Header, e *store.Entry) bool {
	if lines := r.Header["If-None-Match"]; len(lines) > 0 {
		return rfc9111.MatchesAny(lines, rfc9111.First(linesOf(e, h, "Etag")))
	}
	lines := r.Header["If-Modified-Since"]
	if len(lines) != 1 {
		return false
	}
	modified := cmp.Or(rfc9111.First(linesOf(e, h, "Last-Modified")), rfc9111.First(linesOf(e, h, "Date")))
	if modified == "" {
		return false
	}
	now := time.Now()
	since, ok := rfc9111.ParseDate(lines[0], now)
	changed, ok2 := rfc9111.ParseDate(modified, now)
	return ok && ok2 && !changed.After(since)
}

// describesBody reports whether a field describes a body that a 304 does not have (RFC 9110 §15.4.5).
func describesBody(name string) bool {
	switch name {
	case "Content-Type", "Content-Length", "Content-Encoding", "Content-Range":
		return true
	}
	return false
}

// strip304 removes what describes a body.
func strip304(h http.Header) {
	delete(h, "Content-Type")
	delete(h, "Content-Length")
	delete(h, "Content-Encoding")
	delete(h, "Content-Range")
}
