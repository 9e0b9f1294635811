package middleware

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/store"
)

// net/http's ServeContent writes the ranges of a whole. Which they are is decided here, for it has its own ideas of some:
// it takes a suffix of nothing for a range, compares If-Range with dates that are weak, and looks at nothing behind its tag.

// maxRanges is how many ranges of one body are served; whoever asks for more gets the whole.
const maxRanges = 4

// askParts returns the request that ServeContent is to be asked, with the ranges that the entry's body has, or with one that
// it has not if there are none: 416. It is false where the request asks in no way that is understood (RFC 9110 §14.2).
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
	copyFields(ask.Header, r.Header, "If-Unmodified-Since") // the client's other conditions have been judged
	if lines := r.Header["If-Match"]; lines != nil {        // of which ServeContent reads one line
		ask.Header["If-Match"] = []string{strings.Join(lines, ", ")}
	}
	return ask, true
}

// mayContinue reports whether the parts that the client has, if it says so, are the entry's (RFC 9110 §13.1.5): If-Range has
// the strong tag of it, or its date.
func mayContinue(r *http.Request, h http.Header, e *store.Entry) bool {
	lines := r.Header["If-Range"]
	if len(lines) == 0 {
		return true
	}
	if len(lines) > 1 {
		return false
	}
	if rfc9111.StrongMatch(lines[0], first(h["Etag"])) {
		return true
	}
	modified := lastModified(h)
	since, ok := rfc9111.ParseDate(lines[0], time.Now())
	return ok && since.Equal(modified) && !madeAt(e).Before(modified.Add(time.Second))
}

// madeAt is when the answer was made: only one that was made later than in the second that it names as its last
// modification has no other of that date beside it (§8.8.2.2).
func madeAt(e *store.Entry) time.Time {
	if made, ok := rfc9111.ParseDate(first(fieldOf(e, "Date")), e.Stored); ok {
		return made
	}
	return e.Stored
}

func lastModified(h http.Header) time.Time {
	t, _ := rfc9111.ParseDate(first(h["Last-Modified"]), time.Now())
	return t
}
