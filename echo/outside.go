package echocache

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// outside is outer middleware's Response, as the cache writes to it. Echo takes the first head for the final one, calls
// what is registered with Before, and drops the next head; so an interim one goes past it.
type outside struct{ *echo.Response }

// outsideOf returns the Response as the cache writes to it, with Push where its writer has that.
func outsideOf(r *echo.Response) http.ResponseWriter {
	if push, ok := r.Writer.(http.Pusher); ok {
		return struct {
			outside
			http.Pusher
		}{outside{r}, push}
	}
	return outside{r}
}

func (o outside) WriteHeader(status int) {
	if o.Committed || !interim(status) {
		o.Response.WriteHeader(status)
		return
	}
	var w http.ResponseWriter = o.Response
	for r, ok := w.(*echo.Response); ok; r, ok = w.(*echo.Response) {
		w = r.Writer
	}
	w.WriteHeader(status)
	reopen(passed(w))
}

// interim reports whether a head of the status is followed by another (RFC 9110 §15.2). After 101 there is no more HTTP.
func interim(status int) bool {
	return 100 <= status && status < 200 && status != http.StatusSwitchingProtocols
}

// passed returns the Responses that a head passes on its way from w to the next cache or the client. There are several
// where echo.WrapMiddleware is used.
func passed(w http.ResponseWriter) (responses []*echo.Response) {
	for {
		switch layer := w.(type) {
		case *echo.Response:
			responses = append(responses, layer)
			w = layer.Writer
		case *inside, insidePusher:
			return responses
		case interface{ Unwrap() http.ResponseWriter }:
			w = layer.Unwrap()
		default:
			return responses
		}
	}
}

// reopen makes Responses wait for a head again that an interim one has committed. One that is still calling its writer
// is not committed yet, and knows its own status.
func reopen(responses []*echo.Response) {
	for _, r := range responses {
		if r.Committed {
			r.Committed, r.Status = false, http.StatusOK
		}
	}
}
