package echocache

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"
)

// outside is outer middleware's Response, as the cache writes to it. Echo takes the first head for the final one, calls
// the functions registered with Before, and drops the next head; so an interim one bypasses it. Functions registered with Before
// and After belong to outer middleware and use the echo.Context: while the handler runs, they get the context as it is outside.
type outside struct {
	*echo.Response
	b            *behind
	pendingAfter bool // functions registered with After have not run since another goroutine wrote
	over         bool // the request is done: echo uses the Response for another request
}

// writer returns the Response as the cache writes to it, with Push if its writer has that.
func (o *outside) writer() http.ResponseWriter {
	if push, ok := o.Response.Writer.(http.Pusher); ok {
		return struct {
			*outside
			http.Pusher
		}{o, push}
	}
	return o
}

func (o *outside) Header() http.Header {
	if o.over {
		return http.Header{}
	}
	return o.Response.Header()
}

var errOver = errors.New("echocache: written to after the request")

func (o *outside) Write(p []byte) (n int, err error) {
	if o.over {
		return 0, errOver
	}
	o.b.outwards(func() { n, err = o.Response.Write(p) })
	o.pendingAfter = false
	return n, err
}

// Aside returns the writer for a goroutine other than the handler's, which has the context. Functions registered with After
// wait until the handler bypasses the cache to write, or has returned. There is no such writer if echo.WrapMiddleware hides
// another Response: functions registered there cannot wait.
func (o *outside) Aside() http.ResponseWriter {
	if len(passed(o.Response.Writer)) > 0 {
		return nil
	}
	return aside{o}
}

type aside struct{ *outside }

func (a aside) Write(p []byte) (int, error) {
	n, err := a.Response.Writer.Write(p)
	a.Response.Size += int64(n)
	a.pendingAfter = true
	return n, err
}

// end is called when the request is done.
func (o *outside) end() {
	if o.pendingAfter {
		_, _ = o.Write(nil) // which calls them
	}
	o.over = true
}

func (o *outside) WriteHeader(status int) {
	switch {
	case o.over:
		return
	case o.Committed || !interim(status):
		o.b.outwards(func() { o.Response.WriteHeader(status) })
		return
	}
	var w http.ResponseWriter = o.Response
	for r, ok := w.(*echo.Response); ok; r, ok = w.(*echo.Response) {
		w = r.Writer
	}
	w.WriteHeader(status)
	reopen(passed(w))
}

// interim reports whether a head with the status is followed by another (RFC 9110 §15.2). After 101 there is no more HTTP.
func interim(status int) bool {
	return 100 <= status && status < 200 && status != http.StatusSwitchingProtocols
}

// passed returns the Responses that a head passes on its way from w to the next cache or the client. There are several
// if echo.WrapMiddleware is used.
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

// reopen makes Responses that an interim head has committed wait for a head again. One that is still calling its writer
// is not committed yet, and knows its own status.
func reopen(responses []*echo.Response) {
	for _, r := range responses {
		if r.Committed {
			r.Committed, r.Status = false, http.StatusOK
		}
	}
}
