package middleware

import (
	"fmt"
	"net/http"
)

// asks says who asks, by the app's identity function. One that panics knows nobody, and its panic is told.
func (rt *Route) asks(r *http.Request, pattern string) (user string, known bool) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler: // meant for the server
			panic(v)
		default:
			rt.tell(Event{Route: pattern, Outcome: Fault, Reason: ReasonIdentity, Err: fmt.Errorf("the identity function panicked: %v", v)})
		}
	}()
	return rt.User(r)
}

// asker is asks for a request that has no event yet: if the function ends it, that is one.
func (rt *Route) asker(r *http.Request, pattern string) (user string, known bool) {
	returned := false
	defer func() {
		if !returned {
			rt.observe(Event{Route: pattern, Outcome: Bypass, Reason: ReasonIdentity})
		}
	}()
	user, known = rt.asks(r, pattern)
	returned = true
	return user, known
}
