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

// complete judges a whole response and fills the run's entry with it.
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

// settle gives an entry that has its header and body its lifetimes, key and labels, or says why it must not be stored.
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

// incomplete says in which way the answer is not all that it should be, or "".
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

// describe adds the fields that tell of the body: its length, that parts of it are served (RFC 9110 §14.3), and a validator
// where nobody has set one (§8.8.3).
func (rec *recorder) describe(e *store.Entry) {
	var room [64]byte // for both texts at once
	text := room[:0]
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

// makeHeader puts the fields in order and makes a header of them: in one order answers have one layout.
func makeHeader(fields []store.Field) store.Header {
	slices.SortStableFunc(fields, func(a, b store.Field) int { return strings.Compare(a.Name, b.Name) })
	return store.MakeHeader(fields...)
}

// appendEntityTag appends a validator for the bytes. It is a weak one (§8.8.1): a compressor outside of the cache sends other
// bytes under the same tag.
func appendEntityTag(to, body []byte) []byte {
	sum := sha256.Sum256(body)
	to = base64.RawURLEncoding.AppendEncode(append(to, `W/"`...), sum[:16])
	return append(to, '"')
}

func partReason(r *http.Request) Reason {
	if r.Method == http.MethodHead {
		return ReasonHead
	}
	return ReasonRange
}

// partKey is the key of requests that want the same part of what the key stands for. The handler of a HEAD does not see
// ranges, and no handler sees conditions: those are judged for each request.
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

// shareOnly makes the run's entry of a response that is not whole, for the requests that wait for it. Stale says that the
// response must not be used again without validation.
func (f *fetch) shareOnly(key keying.Key, stale bool) readthrough.Verdict {
	rec, e := f.rec, f.rec.run.Entry
	f.p.reason, rec.purpose = cmp.Or(f.p.reason, partReason(f.r)), toShare
	if reason := f.shareable(stale); reason != "" {
		return f.refuse(reason)
	}
	rec.reason = ""
	e.Key, e.Status, e.Added, e.Body = partKey(key, f.r), rec.status, rec.added, rec.compact()
	e.Stored, e.Fresh = time.Now(), time.Minute // for those who wait: any time will do
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
	// An attempt to update a stored response has perhaps left that one's labels and lifetimes there.
	e.Header, e.Added, e.Labels, rec.run.Index = makeHeader(rec.fields), rec.added, nil, nil
	e.WhileRevalidate, e.IfError, e.IfValidated = 0, 0, 0
	return f.label(e, tags) // a purge may come before the requests that wait
}

// guessType sets the type that net/http would guess for a body whose type nobody has told.
func guessType(h http.Header, body []byte) {
	if !typed(h) && len(body) > 0 {
		h["Content-Type"] = []string{http.DetectContentType(body)}
	}
}

// typed reports whether the header tells the type of its body, or leaves nothing to be guessed, as net/http has it.
func typed(h http.Header) bool {
	_, told := h["Content-Type"]
	return told || len(h["Content-Encoding"]) > 0 || h["Transfer-Encoding"] != nil
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// leftAlone reports whether a compressor leaves the answer as it is, whoever the client is: it is coded already, or not worth
// it. Of such answers the cache says Accept-Ranges. Of others it says nothing, even to a client that gets parts of them: a
// cache in front would tell others, too.
func leftAlone(codings, types []string, body []byte) bool {
	return !identity(codings) || !compressible(mediaType(types, body))
}

// mediaType is the answer's type without parameters, in lower case; that which net/http guesses if it has none.
func mediaType(types []string, body []byte) string {
	text := rfc9111.First(types)
	if text == "" {
		text = http.DetectContentType(body)
	}
	text, _, _ = strings.Cut(text, ";")
	return strings.ToLower(strings.TrimSpace(text))
}

// compressible reports whether compressors take answers of this type for worth their while: text in all its forms, and
// what is not compressed by its own format.
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
