package middleware

import (
	"net/http"
	"slices"
	"strings"

	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/store"
)

// A compressor outside of the cache codes what the cache sends, one way for one client and not at all for the next, and it
// codes a part of an answer by itself: a client that puts such parts together has neither form of the answer. So ranges are
// served of what a compressor leaves alone, to clients to whom it sends nothing coded, and where the handler itself tells its
// bytes apart.

// inParts reports whether ranges of the stored answer may be served to the request.
func inParts(e *store.Entry, h http.Header) bool {
	tag := first(fieldOf(e, "Etag"))
	return rfc9111.StrongMatch(tag, tag) || // the handler's: ours are weak
		!rfc9111.AcceptsCoding(h["Accept-Encoding"]) ||
		leftAlone(fieldOf(e, "Content-Encoding"), fieldOf(e, "Content-Type"), e.Body)
}

// leftAlone reports whether a compressor leaves the answer as it is, whoever the client is: it is coded already, or not worth
// it. Of such answers the cache says Accept-Ranges. Of others it says nothing, even to a client that gets parts of them: a
// cache in front would tell others, too.
func leftAlone(codings, types []string, body []byte) bool {
	return !identity(codings) || !compressible(mediaType(types, body))
}

// acceptRanges is the field's value (RFC 9110 §14.3).
var acceptRanges = []string{"bytes"}

// mediaType is the answer's type without parameters, in lower case; that which net/http guesses if it has none.
func mediaType(types []string, body []byte) string {
	text := first(types)
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

// compressed are the types beside text and those of a suffix that compressors and CDNs have in their lists.
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
