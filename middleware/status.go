package middleware

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
)

// tabled is for how many seconds header lines are made once and used again, so that a hit allocates nothing.
const tabled = 3600

// statusLines are the Cache-Status values of hits, by the seconds that are left.
type statusLines struct {
	format string
	lines  [tabled]atomic.Pointer[[]string]
}

func (s *statusLines) of(ttl int64) []string {
	if ttl < 0 || ttl >= tabled {
		return []string{fmt.Sprintf(s.format, ttl)}
	}
	return cached(&s.lines[ttl], func() string { return fmt.Sprintf(s.format, ttl) })
}

var ageLines [tabled]atomic.Pointer[[]string]

// ageLine is the value of the Age field (RFC 9111 §5.1).
func ageLine(seconds int64) []string {
	if seconds < 0 || seconds >= tabled {
		return []string{strconv.FormatInt(seconds, 10)}
	}
	return cached(&ageLines[seconds], func() string { return strconv.FormatInt(seconds, 10) })
}

// cached returns the slot's line, clipped: whoever appends to it gets a copy.
func cached(slot *atomic.Pointer[[]string], text func() string) []string {
	if line := slot.Load(); line != nil {
		return *line
	}
	line := []string{text()}
	slot.Store(&line)
	return line
}

// addStatus appends this cache's member to Cache-Status, after those of caches nearer to the origin (RFC 9211 §2).
func (c *Common) addStatus(h http.Header, line []string) {
	if c.name == "" {
		return
	}
	if before := h["Cache-Status"]; len(before) > 0 {
		line = append(before[:len(before):len(before)], line...)
	}
	h["Cache-Status"] = line
}

// forwarded is the member for an answer of the handler's (RFC 9211 §2.2 to §2.5).
func (c *Common) forwarded(fwd string, reason Reason, stored bool) []string {
	line := c.name + "; fwd=" + fwd
	if stored {
		line += "; stored"
	}
	if reason != "" {
		line += "; detail=" + string(reason)
	}
	return []string{line}
}
