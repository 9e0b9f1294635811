package rfc9111

import (
	"iter"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// unsaid is the duration of an absent directive.
const unsaid = -1

// A Control is what a response's Cache-Control says (RFC 9111 §5.2.2, RFC 5861). Durations are -1 for absent directives. If
// a directive has two different times, the shorter one counts.
type Control struct {
	NoStore, NoCache, Private, Public, MustRevalidate, ProxyRevalidate, MustUnderstand bool

	NoCacheFields, PrivateFields []string // canonical names, from the qualified forms of no-cache and private

	MaxAge, SMaxAge, WhileRevalidate, IfError time.Duration

	Targeted  bool // from a targeted field (RFC 9213), not from Cache-Control
	Malformed bool // it cannot be parsed, so it may say anything
	BadTime   bool // a time in it is invalid: the response is stale (§4.2.1)
}

// ParseControl parses the lines of a Cache-Control field.
func ParseControl(lines []string) Control {
	c := Control{MaxAge: unsaid, SMaxAge: unsaid, WhileRevalidate: unsaid, IfError: unsaid}
	for d, ok := range Directives(lines) {
		if !ok {
			c.Malformed = true
		} else {
			c.add(d)
		}
	}
	return c
}

func (c *Control) add(d Directive) {
	switch strings.ToLower(d.Name) {
	case "no-store":
		c.NoStore = true
	case "no-cache":
		qualify(&c.NoCache, &c.NoCacheFields, d)
	case "private":
		qualify(&c.Private, &c.PrivateFields, d)
	case "public":
		c.Public = true
	case "must-revalidate":
		c.MustRevalidate = true
	case "proxy-revalidate":
		c.ProxyRevalidate = true
	case "must-understand":
		c.MustUnderstand = true
	case "max-age":
		c.shorten(&c.MaxAge, d.Value)
	case "s-maxage":
		c.shorten(&c.SMaxAge, d.Value)
	case "stale-while-revalidate":
		c.shorten(&c.WhileRevalidate, d.Value)
	case "stale-if-error":
		c.shorten(&c.IfError, d.Value)
	}
}

// qualify sets a directive, or the fields that its qualified form names (§5.2.2.4, §5.2.2.7). A form that names none, or
// something that is not a field, means the whole response.
func qualify(whole *bool, fields *[]string, d Directive) {
	if !d.HasValue {
		*whole = true
		return
	}
	n := 0
	for name := range strings.SplitSeq(d.Value, ",") {
		if name = strings.Trim(name, " \t"); name == "" {
			continue
		}
		if !httpguts.ValidHeaderFieldName(name) {
			*whole = true
			return
		}
		*fields = append(*fields, http.CanonicalHeaderKey(name))
		n++
	}
	if n == 0 {
		*whole = true
	}
}

func (c *Control) shorten(to *time.Duration, value string) {
	if d, ok := Seconds(value); ok {
		shortest(to, d)
	} else {
		c.BadTime = true
	}
}

// shortest sets a duration that is unsaid or longer.
func shortest(to *time.Duration, d time.Duration) {
	if *to < 0 || d < *to {
		*to = d
	}
}

// most is the largest delta-seconds; greater values count as this one (§1.2.2).
const most = 1 << 31

// Seconds parses delta-seconds (§1.2.2): digits only.
func Seconds(value string) (d time.Duration, ok bool) {
	if value == "" {
		return 0, false
	}
	var n int64
	for _, digit := range []byte(value) {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		n = min(most, n*10+int64(digit-'0'))
	}
	return time.Duration(n) * time.Second, true
}

// Directives yields the directives of Cache-Control lines, and false in place of the rest of a line that cannot be parsed.
func Directives(lines []string) iter.Seq2[Directive, bool] {
	return func(yield func(Directive, bool) bool) {
		for _, line := range lines {
			for ok := true; ok && line != ""; {
				var d Directive
				if d, _, line, ok = nextDirective(line); ok && d.Name == "" {
					break
				}
				if !yield(d, ok) {
					return
				}
			}
		}
	}
}

// nextDirective takes the first directive off a list: a token, perhaps with an argument, which is a token or a quoted
// string. Text is the directive as it was written. Without a name, and ok, there is none left.
func nextDirective(s string) (d Directive, text, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t,")
	if s == "" {
		return d, "", "", true
	}
	end := strings.IndexAny(s, "=, \t")
	if end < 0 {
		end = len(s)
	}
	d.Name, rest = s[:end], s[end:]
	if d.HasValue = strings.HasPrefix(rest, "="); d.HasValue {
		if d.Value, rest, ok = argument(rest[1:]); !ok {
			return Directive{}, "", "", false
		}
	}
	text = s[:len(s)-len(rest)]
	rest = strings.TrimLeft(rest, " \t")
	if !httpguts.ValidHeaderFieldName(d.Name) || rest != "" && rest[0] != ',' {
		return Directive{}, "", "", false
	}
	return d, text, rest, true
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

// MakePrivate returns the lines of a Cache-Control for one user's response: private, whatever it said, and without what
// permits shared caches to store it. The given lines are not changed.
func MakePrivate(lines []string) []string {
	kept := []string{"private"}
	for _, line := range lines {
		for line != "" {
			d, text, rest, ok := nextDirective(line)
			if !ok {
				return []string{"private, no-store"}
			}
			switch line = rest; strings.ToLower(d.Name) {
			case "", "private", "public", "s-maxage":
			default:
				kept = append(kept, text)
			}
		}
	}
	return []string{strings.Join(kept, ", ")}
}

// SaysForWhom reports whether a Cache-Control says what shared caches may do with the response.
func SaysForWhom(lines []string) bool {
	if len(lines) == 0 {
		return false
	}
	c := ParseControl(lines)
	return c.Public || c.SMaxAge >= 0 || c.Private || c.NoStore
}
