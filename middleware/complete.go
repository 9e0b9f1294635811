package middleware

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// How a recorded response becomes an entry. By now its head was judged storable (the rule book's storable), and its body is complete.
// What can still refuse it: a body that does not match its head, the handler itself (NoStore), its labels, a lifetime that is over.

// complete fills the run's entry with a whole response, or says why it must not be stored.
func (f *fetch) complete() Reason {
	rec := f.rec
	if reason := rec.incomplete(); reason != "" {
		return reason
	}
	e := rec.run.Entry
	e.Status, e.Added, e.Body = rec.status, rec.added, rec.compact()
	if e.Status == http.StatusPartialContent {
		extend(rec)
	}
	rec.describe(e)
	e.Header = makeHeader(rec.fields)
	return f.settle()
}

// settle adds to an entry, which has its header and body, everything else: lifetimes and key from the rule book, labels, and a place
// among the variants of its URL, which may replace the least used one. It says why the entry must not be stored, or "".
func (f *fetch) settle() Reason {
	rt, e := f.rt, f.rec.run.Entry
	tags, ttl, noStore := f.rec.said.Said()
	now := time.Now()
	variant := rt.rules.settle(f, ttl, now)
	if noStore {
		return ReasonHandler
	}
	if reason := f.label(e, tags); reason != "" {
		return reason
	}
	if e.Validate() != nil {
		return ReasonHeader
	}
	keep := e.Keep(now)
	if keep <= 0 {
		return ReasonAge
	}
	if variant {
		if least := rt.common.variants.admit(f.resource(), e.Key, now, now.Add(keep)); least != (keying.Key{}) {
			f.rec.run.Replaced = append(f.rec.run.Replaced, least)
		}
	}
	return ""
}

// incomplete says what is missing, or "". A response without a head or with another length than it declared was broken off somewhere;
// storing it would make one accident everybody's. A response to HEAD declares the length of a body that it does not have.
func (rec *recorder) incomplete() Reason {
	size := int64(rec.size())
	switch {
	case rec.head == noHead:
		return ReasonEmpty
	case rec.declared >= 0 && rec.declared != size && !(size == 0 && rec.r.Method == http.MethodHead):
		return ReasonLength
	}
	if rec.trailing = rec.hasTrailers(); rec.trailing {
		return ReasonTrailer
	}
	return ""
}

// describe adds the fields that describe the body: its type as net/http would guess it, its length, that ranges of it are served (RFC
// 9110 §14.3), and in policy mode a validator if nobody has set one (§8.8.3), so that clients and caches in front can revalidate.
func (rec *recorder) describe(e *store.Entry) {
	var buf [64]byte // for both texts, which share one string
	text := buf[:0]
	if rec.rt.makesTags && e.Status == http.StatusOK && rec.outer["Etag"] == nil && rec.fieldOf("Etag") == nil {
		text = appendEntityTag(text, e.Body)
	}
	tag := len(text)
	if rec.untyped && len(e.Body) > 0 { // as the first write makes the writer outside guess
		rec.set("Content-Type", http.DetectContentType(e.Body))
	}
	if e.Status == http.StatusOK && rec.made("Accept-Ranges") == nil && leftAlone(rec.made("Content-Encoding"), rec.made("Content-Type"), e.Body) {
		rec.set("Accept-Ranges", "bytes")
	}
	if bodyAllowed(e.Status) {
		text = strconv.AppendInt(text, int64(len(e.Body)), 10)
	}
	texts := string(text)
	if tag < len(texts) {
		rec.set("Content-Length", texts[tag:])
	}
	if tag > 0 {
		rec.set("Etag", texts[:tag])
	}
}

// made returns the lines of a field as the client gets them: the handler's, or else those of outer middleware.
func (hs *headers) made(name string) []string {
	if lines := hs.fieldOf(name); lines != nil {
		return lines
	}
	return hs.outer[name]
}

// makeHeader makes a header of the fields, sorted by name: responses with the same fields then share one layout in memory.
func makeHeader(fields []store.Field) store.Header {
	slices.SortStableFunc(fields, func(a, b store.Field) int { return strings.Compare(a.Name, b.Name) })
	return store.MakeHeader(fields...)
}

// appendEntityTag appends an entity tag for the bytes. It is weak (§8.8.1), because a compressor outside the cache sends other bytes under
// the same tag. Half of a SHA-256 is more than enough: the tag compares versions of one URL.
func appendEntityTag(to, body []byte) []byte {
	sum := sha256.Sum256(body)
	to = base64.RawURLEncoding.AppendEncode(append(to, `W/"`...), sum[:16])
	return append(to, '"')
}

// partReason is the reason of a response that only the requests that wait for it get.
func partReason(r *http.Request) Reason {
	if r.Method == http.MethodHead {
		return ReasonHead
	}
	return ReasonRange
}

// partKey is the key of requests for the same part of what the key stands for, so that they share one run. Nothing is ever stored under
// it. The handler of a HEAD does not see ranges, and no handler sees conditions: those are evaluated for each request.
func partKey(key keying.Key, r *http.Request) keying.Key {
	text := append(make([]byte, 0, 128), key[:]...)
	text = append(text, r.Method...)
	if r.Method != http.MethodHead {
		for _, lines := range [...][]string{r.Header["Range"], r.Header["If-Range"]} {
			text = binary.AppendUvarint(text, uint64(len(lines)))
			for _, line := range lines {
				text = append(binary.AppendUvarint(text, uint64(len(line))), line...)
			}
		}
	}
	return sha256.Sum256(text)
}

// A response to HEAD or to a range is not what its key stands for, so it cannot be stored under it. But many clients may request the same
// part at once, of a large file for example. Then one run serves them all, under a key that nothing is ever stored under:
//
//	GET /file, Range: bytes=0-99     leads a run
//	GET /file, Range: bytes=0-99     waits for it, and gets its response
//	GET /file, Range: bytes=100-     leads a run of its own
//	GET /file                        leads a run of its own: it is for the whole, and its response is stored
//
// shareOnly makes the run's entry from a response that is not whole, for the requests that wait for it. Stale says that the response must
// not be used again without validation.
func (f *fetch) shareOnly(key keying.Key, stale bool) readthrough.Verdict {
	rec, e := f.rec, f.rec.run.Entry
	f.p.reason, rec.purpose = cmp.Or(f.p.reason, partReason(f.r)), toShare
	if reason := f.shareable(stale); reason != "" {
		return f.refuse(reason)
	}
	rec.reason = ""
	e.Key, e.Status, e.Added, e.Body = partKey(key, f.r), rec.status, rec.added, rec.compact()
	e.Stored, e.Fresh = time.Now(), time.Minute // for the requests that wait: any lifetime will do
	if e.Validate() != nil {
		return f.refuse(ReasonHeader)
	}
	if length := max(rec.declared, int64(len(e.Body))); length > 0 && bodyAllowed(e.Status) {
		rec.set("Content-Length", strconv.FormatInt(length, 10)) // for HEAD not that of this body
		e.Header = makeHeader(rec.fields)
	}
	return readthrough.ShareOnly
}

// shareable says why the response must not be shared, or "".
func (f *fetch) shareable(stale bool) Reason {
	rec := f.rec
	if reason := rec.incomplete(); reason != "" {
		return reason
	}
	tags, _, noStore := rec.said.Said()
	switch {
	case noStore:
		return ReasonHandler
	case stale:
		return ReasonAge
	}
	e := rec.run.Entry
	// A failed update of a stored response may have left that one's labels and lifetimes here.
	e.Header, e.Added, e.Labels, rec.run.Index = makeHeader(rec.fields), rec.added, nil, nil
	e.WhileRevalidate, e.IfError, e.IfValidated = 0, 0, 0
	return f.label(e, tags) // a purge may come before the requests that wait get it
}

// sniff sets the Content-Type that net/http would guess, for a body whose type nobody has set.
func sniff(h http.Header, body []byte) {
	if !typed(h) && len(body) > 0 {
		h["Content-Type"] = []string{http.DetectContentType(body)}
	}
}

// typed reports whether net/http would leave the type alone.
func typed(h http.Header) bool {
	_, set := h["Content-Type"]
	return set || len(h["Content-Encoding"]) > 0 || h["Transfer-Encoding"] != nil
}

// bodyAllowed reports whether a response with the status may have a body (RFC 9110 §6.4.1). 1xx never come here.
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// leftAlone reports whether compressors outside leave the response as it is for every client: it is encoded already, or of a type that is
// not worth compressing. Only on such responses the cache sends Accept-Ranges. Otherwise a client could put together parts of a
// compressed body and of the plain one.
func leftAlone(codings, types []string, body []byte) bool {
	return !identity(codings) || !compressible(mediaType(types, body))
}

// mediaType is the type without parameters, in lower case; if there is none, the one that net/http guesses.
func mediaType(types []string, body []byte) string {
	text := rfc9111.First(types)
	if text == "" {
		text = http.DetectContentType(body)
	}
	text, _, _ = strings.Cut(text, ";")
	return strings.ToLower(strings.TrimSpace(text))
}

// compressible reports whether compressors usually take the type: text in all its forms, and formats that do not compress by themselves.
func compressible(media string) bool {
	if strings.HasPrefix(media, "text/") {
		return true
	}
	for _, suffix := range [...]string{"+json", "+xml", "+text", "+yaml", "+json-seq"} {
		if strings.HasSuffix(media, suffix) {
			return true
		}
	}
	return slices.Contains(compressed, media)
}
