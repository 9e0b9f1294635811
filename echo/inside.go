package echocache

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
)

// inside is the writer of the handler's Response. Echo commits a Response with the first head it writes, also with an
// interim one, and only after its writer has returned: too late for the writer to undo it. So an interim head puts a new
// Response into the echo.Context, for handlers that ask there, and the old ones are reopened as soon as whoever kept one
// asks for the header. That is not early enough for a second head that follows at once through the same pointer: echo
// drops it, and the response, which is 200 then, must not be kept.
type inside struct {
	http.ResponseWriter // the cache's
	ec                  echo.Context
	response            echo.Response    // the handler's first one
	responses           []*echo.Response // those that an interim head has passed, and those put in their place
	last                int              // the status of the last head
	implied             bool             // the final head after an interim one is not the handler's own
}

// newInside returns a writer for the handler of the context, and puts a Response with it there.
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

// renew puts a Response into the context that waits for the next head. What is registered with the present one, it has
// too; an interim head has passed the others that are wrapped around each other.
func (in *inside) renew() {
	present := in.ec.Response()
	next := *present
	next.Committed, next.Status = false, http.StatusOK
	in.responses = slices.Concat(in.responses, passed(present), []*echo.Response{&in.response})
	old := in.responses
	next.Before(func() { reopen(old) }) // or they would stop the head
	in.responses = append(in.responses, &next)
	in.ec.SetResponse(&next)
}

// settle lets all Responses know of the final head, whichever it came through.
func (in *inside) settle(status int) {
	in.last = status
	for _, r := range in.responses {
		r.Committed, r.Status = true, status
	}
}

// late reports whether a Response has the status of a server's error that it was given after the head, as JSON does. Echo
// drops the head, and most of its methods leave no trace of it.
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

// Unwrap returns the cache's writer, which offers the rest of what http.ResponseController asks for.
func (in *inside) Unwrap() http.ResponseWriter { return in.ResponseWriter }
