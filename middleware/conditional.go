package middleware

import (
	"net/http"
	"strings"
	"time"
)

// notModified reports whether the client has the answer that these headers belong to (RFC 9110 §13.1.2, §13.1.3).
// If-None-Match, compared weakly, goes before If-Modified-Since.
func notModified(r *http.Request, h http.Header) bool {
	if lines := r.Header["If-None-Match"]; len(lines) > 0 {
		return matchesAny(lines, first(h["Etag"]))
	}
	since, modified := first(r.Header["If-Modified-Since"]), first(h["Last-Modified"])
	if since == "" || modified == "" {
		return false
	}
	t, err := http.ParseTime(since)
	m, err2 := http.ParseTime(modified)
	return err == nil && err2 == nil && !m.Truncate(time.Second).After(t)
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// matchesAny compares the entity tag with those of If-None-Match.
func matchesAny(lines []string, tag string) bool {
	for _, line := range lines {
		if strings.TrimSpace(line) == "*" {
			return true
		}
		for rest := line; tag != ""; {
			var candidate string
			if candidate, rest = nextTag(rest); candidate == "" {
				break
			}
			if opaque(candidate) == opaque(tag) {
				return true
			}
		}
	}
	return false
}

// nextTag takes the first entity tag (RFC 9110 §8.8.3) off a list; a malformed list ends there.
func nextTag(s string) (tag, rest string) {
	s = strings.TrimLeft(s, " \t\r\n,")
	quoted := strings.TrimPrefix(s, "W/")
	if !strings.HasPrefix(quoted, `"`) {
		return "", ""
	}
	end := strings.IndexByte(quoted[1:], '"')
	if end < 0 {
		return "", ""
	}
	end += len(s) - len(quoted) + 2
	return s[:end], s[end:]
}

func opaque(tag string) string { return strings.TrimPrefix(tag, "W/") }

// strip304 removes what describes a body that a 304 does not have (RFC 9110 §15.4.5).
func strip304(h http.Header) {
	delete(h, "Content-Type")
	delete(h, "Content-Length")
	delete(h, "Content-Encoding")
}
