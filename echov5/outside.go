package echocache

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/labstack/echo/v5"
)

// outside is outer middleware's writer, as the cache writes to it. Echo takes the first head for the final one, calls the
// functions registered with Before, and drops the next head; so an interim one bypasses it. Functions registered with Before and
// After belong to outer middleware and use the echo.Context: while the handler runs, they get the context as it is outside.
type outside struct {
	w            http.ResponseWriter // as outer middleware has put it into the context
	response     *echo.Response      // w itself, or behind it
	b            *behind
	pendingAfter bool // functions registered with After have not run since another goroutine wrote
	over         bool // the request is done: echo uses the Response for another request
}

func newOutside(w http.ResponseWriter, b *behind) *outside {
	response, err := echo.UnwrapResponse(w)
	if err != nil { // middleware hides echo's
		response = echo.NewResponse(w, b.ec.Logger())
		w = response
	}
	return &outside{w: w, response: response, b: b}
}

// writer returns the writer for the cache, with Push if the Response's writer has that.
func (o *outside) writer() http.ResponseWriter {
	if push, ok := o.response.ResponseWriter.(http.Pusher); ok {
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
	return o.w.Header()
}

var errOver = errors.New("echocache: written to after the request")

func (o *outside) Write(p []byte) (n int, err error) {
	if o.over {
		return 0, errOver
	}
	o.b.outwards(func() { n, err = o.w.Write(p) })
	o.pendingAfter = false
	return n, err
}

// ReadFrom is for handlers that look for it behind echo's Response: they find it there without a cache, too.
func (o *outside) ReadFrom(src io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{o}, src)
}

// Aside returns the writer for a goroutine other than the handler's, which has the context. Functions registered with After
// wait until the handler bypasses the cache to write, or has returned. There is no such writer if middleware has wrapped the
// Response, as Gzip does: what would be called in between cannot wait.
func (o *outside) Aside() http.ResponseWriter {
	if o.w != http.ResponseWriter(o.response) {
		return nil
	}
	if below, _ := passed(o.response.ResponseWriter); len(below) > 0 {
		return nil
	}
	return aside{o}
}

type aside struct{ *outside }

func (a aside) Write(p []byte) (int, error) {
	n, err := a.response.ResponseWriter.Write(p)
	a.response.Size += int64(n)
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
	case o.response.Committed || !interim(status):
		o.b.outwards(func() { o.w.WriteHeader(status) })
		return
	}
	w := o.response.ResponseWriter
	for r, ok := w.(*echo.Response); ok; r, ok = w.(*echo.Response) {
		w = r.ResponseWriter
	}
	w.WriteHeader(status)
	responses, _ := passed(w)
	reopen(responses...)
}

func (o *outside) Flush() { _ = o.FlushError() }

func (o *outside) FlushError() (err error) {
	if o.over {
		return errOver
	}
	o.b.outwards(func() { err = http.NewResponseController(o.w).Flush() })
	return err
}

func (o *outside) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(o.w).Hijack()
}

// Unwrap returns outer middleware's writer, which offers the rest of what http.ResponseController uses.
func (o *outside) Unwrap() http.ResponseWriter { return o.w }

// interim reports whether a head with the status is followed by another (RFC 9110 §15.2). After 101 there is no more HTTP.
func interim(status int) bool {
	return 100 <= status && status < 200 && status != http.StatusSwitchingProtocols
}

// passed returns the Responses that a head passes on its way from w to the next cache or the client, and the writer at the end.
// There are several if echo.WrapMiddleware is used.
func passed(w http.ResponseWriter) (responses []*echo.Response, end http.ResponseWriter) {
	for {
		switch layer := w.(type) {
		case *inside:
			return responses, layer
		case *echo.Response:
			responses = append(responses, layer)
			w = layer.ResponseWriter
		case renewed:
			w = layer.behind
		case interface{ Unwrap() http.ResponseWriter }:
			w = layer.Unwrap()
		default:
			return responses, w
		}
	}
}

// misled reports whether a Response takes an interim head for the final one. One that is still calling its writer is not
// committed yet, and knows its own status.
func misled(r *echo.Response) bool { return r.Committed && interim(r.Status) }

// reopen makes Responses that are misled wait for a head again.
func reopen(responses ...*echo.Response) {
	for _, r := range responses {
		if misled(r) {
			r.Committed, r.Status = false, http.StatusOK
		}
	}
}
