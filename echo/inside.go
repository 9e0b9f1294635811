package echocache

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
)

// inside is the writer of the handler's Response. Echo commits a Response with the first head it writes, even an
// interim one, and only after its writer has returned: too late for the writer to undo it. So an interim head puts a new
// Response into the echo.Context, for handlers that read it there, and the old ones are reopened as soon as code that still has one
// calls Header. That is not early enough for a second head that follows at once through the same pointer: echo
// drops it, and the response, which is 200 then, must not be stored.
type inside struct {
	http.ResponseWriter // the cache's
	ec                  echo.Context
	response            echo.Response    // the handler's first one
	responses           []*echo.Response // those that an interim head has passed, and those that replaced them
	last                int              // the status of the last head
	implied             bool             // the final head after an interim one did not come from the handler
}

// newInside returns a writer for the handler of the context, and puts a Response with that writer into the context.
func newInside(w http.ResponseWriter, ec echo.Context) *inside {
	in := &inside{ResponseWriter: w, ec: ec}
	in.response = *echo.NewResponse(in.writer(), ec.Echo())
	in.response.Status = http.StatusOK // as echo resets it
	ec.SetResponse(&in.response)
	return in
}

// insidePusher is an inside in front of a writer that can push.
type insidePusher struct {
	*inside
	http.Pusher
}

func (in *inside) writer() http.ResponseWriter {
	if push, ok := in.ResponseWriter.(http.Pusher); ok {
		return insidePusher{in, push}
	}
	return in
}

func (in *inside) Header() http.Header {
	if interim(in.last) {
		reopen(in.responses)
	}
	return in.ResponseWriter.Header()
}

func (in *inside) WriteHeader(status int) {
	in.ResponseWriter.WriteHeader(status)
	switch {
	case !interim(status):
		in.settle(status)
	case in.last == 0 || interim(in.last):
		in.last = status
		in.renew()
	}
}

// renew puts a Response into the context that waits for the next head. It has the functions that are registered with the present
// one; the interim head has also passed the Responses that are wrapped around each other.
func (in *inside) renew() {
	present := in.ec.Response()
	next := *present
	next.Committed, next.Status = false, http.StatusOK
	in.responses = slices.Concat(in.responses, passed(present), []*echo.Response{&in.response})
	old := in.responses
	next.Before(func() { reopen(old) }) // otherwise they would stop the head
	in.responses = append(in.responses, &next)
	in.ec.SetResponse(&next)
}

// settle marks all Responses with the final head, whichever of them it came through.
func (in *inside) settle(status int) {
	in.last = status
	for _, r := range in.responses {
		r.Committed, r.Status = true, status
	}
}

// late reports whether a Response was given the status of a server error after the head, as JSON does. Echo drops such a
// head, and most of its methods leave no trace of it.
func (in *inside) late() bool {
	status := in.ec.Response().Status
	return in.last != 0 && !interim(in.last) && status >= 500 && status != in.last
}

// imply is called when a body begins.
func (in *inside) imply() {
	if interim(in.last) {
		in.implied = true
		in.settle(http.StatusOK)
	}
}

func (in *inside) Write(p []byte) (int, error) {
	in.imply()
	return in.ResponseWriter.Write(p)
}

func (in *inside) WriteString(s string) (int, error) {
	in.imply()
	return io.WriteString(in.ResponseWriter, s)
}

func (in *inside) ReadFrom(src io.Reader) (int64, error) {
	in.imply()
	return io.Copy(in.ResponseWriter, src)
}

func (in *inside) Flush() { _ = in.FlushError() }

func (in *inside) FlushError() error {
	in.imply()
	return http.NewResponseController(in.ResponseWriter).Flush()
}

func (in *inside) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(in.ResponseWriter).Hijack()
}

// Unwrap returns the cache's writer, which offers the rest of what http.ResponseController uses.
func (in *inside) Unwrap() http.ResponseWriter { return in.ResponseWriter }
