package middleware

import (
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// control is what a response's Cache-Control says (RFC 9111 §5.2.2). The forms of private and no-cache that name fields
// count as the whole directive.
type control struct {
	noStore, noCache, private, public, mustRevalidate bool

	maxAge, sMaxAge time.Duration // -1: not said
	invalid         bool
}

func parseControl(lines []string) control {
	c := control{maxAge: -1, sMaxAge: -1}
	for _, line := range lines {
		for line != "" {
			name, value, rest, ok := nextDirective(line)
			if !ok {
				c.invalid = true
				break
			}
			c.add(strings.ToLower(name), value)
			line = rest
		}
	}
	return c
}

func (c *control) add(name, value string) {
	switch name {
	case "no-store":
		c.noStore = true
	case "no-cache":
		c.noCache = true
	case "private":
		c.private = true
	case "public":
		c.public = true
	case "must-revalidate", "proxy-revalidate":
		c.mustRevalidate = true
	case "max-age":
		c.maxAge = c.seconds(c.maxAge, value)
	case "s-maxage":
		c.sMaxAge = c.seconds(c.sMaxAge, value)
	}
}

// seconds reads delta-seconds (RFC 9111 §1.2.2): digits only, large values are a large value. Of duplicates the
// shortest counts.
func (c *control) seconds(before time.Duration, value string) time.Duration {
	const most = 1 << 31
	var n int64
	for _, digit := range []byte(value) {
		if digit < '0' || digit > '9' {
			c.invalid = true
			return before
		}
		n = min(most, n*10+int64(digit-'0'))
	}
	if value == "" {
		c.invalid = true
		return before
	}
	d := time.Duration(n) * time.Second
	if before >= 0 {
		d = min(d, before)
	}
	return d
}

// nextDirective takes the first directive off a list: a token, or a token with an argument that is a token or quoted.
func nextDirective(s string) (name, value, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t,")
	if s == "" {
		return "", "", "", true
	}
	end := strings.IndexAny(s, "=, \t")
	if end < 0 {
		end = len(s)
	}
	name, rest = s[:end], s[end:]
	if strings.HasPrefix(rest, "=") {
		if value, rest, ok = argument(rest[1:]); !ok {
			return "", "", "", false
		}
	}
	rest = strings.TrimLeft(rest, " \t")
	return name, value, rest, httpguts.ValidHeaderFieldName(name) && (rest == "" || rest[0] == ',')
}

func argument(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ", \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], httpguts.ValidHeaderFieldName(s[:end])
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[1:i], s[i+1:], true
		}
	}
	return "", "", false
}

// lifetime is how long the answer says that it is fresh, or -1. A private cache does not know s-maxage (RFC 9111
// §5.2.2.10). An Expires that is no date is in the past (§5.3).
func (c control) lifetime(h http.Header, private bool, now time.Time) time.Duration {
	switch {
	case c.sMaxAge >= 0 && !private:
		return c.sMaxAge
	case c.maxAge >= 0:
		return c.maxAge
	}
	lines, ok := h["Expires"]
	if !ok || len(lines) == 0 {
		return -1
	}
	t, err := http.ParseTime(lines[0])
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(0, t.Sub(now))
}

// MakePrivate returns the lines of a Cache-Control for an answer that is one user's: private, whatever the handler said,
// and nothing that a shared cache would take as leave. The lines given are not changed.
func MakePrivate(lines []string) []string {
	kept := []string{"private"}
	for _, line := range lines {
		for line != "" {
			start := line
			name, _, rest, ok := nextDirective(line)
			if !ok {
				return []string{"private, no-store"}
			}
			text := strings.Trim(start[:len(start)-len(rest)], " \t,")
			switch line = rest; strings.ToLower(name) {
			case "", "private", "public", "s-maxage":
			default:
				kept = append(kept, text)
			}
		}
	}
	return []string{strings.Join(kept, ", ")}
}
