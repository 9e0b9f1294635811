package middleware

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
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

// answered is the member for an answer from the cache (RFC 9211 §2.1 to §2.7).
func (c *Common) answered(e *store.Entry, from *source, ttl int64) []string {
	lines := &c.near
	if from.tier == far {
		lines = &c.far
	}
	switch {
	case from.outcome == Shared:
		return c.member("; fwd="+cmp.Or(from.fwd, "miss")+"; collapsed", e.Key, "")
	case from.fwd != "":
		line := "; fwd=" + from.fwd
		if from.status != 0 { // the handler panicked, or returned an error
			line += "; fwd-status=" + strconv.Itoa(from.status)
		}
		if from.stored {
			line += "; stored"
		}
		return c.member(line+"; ttl="+strconv.FormatInt(ttl, 10), e.Key, from.reason)
	case c.debug:
		return c.member(strings.TrimPrefix(lines.of(ttl)[0], c.name), e.Key, "")
	}
	return lines.of(ttl)
}

// forwarded is the member for an answer of the handler's. Its fwd-status is the status that is sent (§2.3).
func (c *Common) forwarded(fwd string, key keying.Key, reason Reason, stored bool) []string {
	line := "; fwd=" + fwd
	if stored {
		line += "; stored"
	}
	return c.member(line, key, reason)
}

func (c *Common) member(parameters string, key keying.Key, reason Reason) []string {
	line := c.name + parameters
	if c.debug && key != (keying.Key{}) {
		line += `; key="` + key.String() + `"`
	}
	if reason != "" {
		line += "; detail=" + string(reason)
	}
	return []string{line}
}
