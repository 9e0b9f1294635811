package middleware

import (
	"cmp"
	"net/http"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/store"
)

// notModified reports whether the client has the answer that these fields belong to, once the entry has been applied to
// them, if there is one (RFC 9110 §13.1.2, §13.1.3).
// If-None-Match, compared weakly, goes before If-Modified-Since. An answer that does not say when it was modified was so
// when it was made at the latest (RFC 9111 §4.3.2).
func notModified(r *http.Request, h http.Header, e *store.Entry) bool {
	if lines := r.Header["If-None-Match"]; len(lines) > 0 {
		return rfc9111.MatchesAny(lines, first(linesOf(e, h, "Etag")))
	}
	lines := r.Header["If-Modified-Since"]
	if len(lines) != 1 {
		return false
	}
	modified := cmp.Or(first(linesOf(e, h, "Last-Modified")), first(linesOf(e, h, "Date")))
	if modified == "" {
		return false
	}
	now := time.Now()
	since, ok := rfc9111.ParseDate(lines[0], now)
	changed, ok2 := rfc9111.ParseDate(modified, now)
	return ok && ok2 && !changed.After(since)
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
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
