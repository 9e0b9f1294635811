package middleware

import (
	"net/http"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
)

// lifetime is what an answer's directives are, how long they allow to keep it, -1 if they do not say, and how old it was
// already when it came: it may be another cache's (RFC 9111 §4.2.3). Its other fields are the policy's business.
func (rt *Route) lifetime(h http.Header, began time.Time) (c *rfc9111.Control, life, age time.Duration) {
	c = rt.control(h)
	a := rfc9111.Answer{Header: h, Private: rt.Scheme.Private}
	if dated := h["Age"] != nil || h["Date"] != nil; dated || h["Expires"] != nil {
		if a.Received = time.Now(); dated {
			a.Delay = a.Received.Sub(began)
			age = min(a.Age(), year).Truncate(time.Second)
		}
	}
	if d, said := a.Lifetime(*c); said {
		return c, d, age
	}
	return c, -1, age
}

// controlLine is a Cache-Control of one line, and what it says.
type controlLine struct {
	line    string
	control rfc9111.Control
}

// control is what the header's directives say. A route's answers often say the same.
func (rt *Route) control(h http.Header) *rfc9111.Control {
	lines := h["Cache-Control"]
	switch {
	case len(lines) == 0 && h["Cdn-Cache-Control"] == nil:
		return &noControl
	case len(lines) != 1 || h["Cdn-Cache-Control"] != nil:
		c := rfc9111.Effective(h, rt.Scheme.Private)
		return &c
	}
	last := rt.said.Load()
	if last == nil || last.line != lines[0] {
		last = &controlLine{lines[0], rfc9111.ParseControl(lines)}
		rt.said.Store(last)
	}
	return &last.control
}

var noControl = rfc9111.ParseControl(nil)
