package echocache

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v5"
)

// inside is the handler's writer: it stands in front of a Response of its own, and sees the heads that a Response
// would drop. Echo takes the first head for the final one, even an interim one; so interim heads bypass the Response. A head
// after the final one shows a failure; so it is passed on to the cache, too.
type inside struct {
	*echo.Response
	ec      *echo.Context
	implied bool // a Response has dropped the head after an interim one: the one that was sent did not come from the handler
}

// newInside returns a writer for the handler of the context, and puts it into the context.
func newInside(w http.ResponseWriter, ec *echo.Context) *inside {
	in := &inside{Response: echo.NewResponse(w, ec.Logger()), ec: ec}
	in.Status = http.StatusOK // as echo resets it
	ec.SetResponse(in)
	return in
}

func (in *inside) Header() http.Header {
	in.reopen()
	return in.Response.Header()
}

func (in *inside) WriteHeader(status int) {
	reopen(in.Response)
	switch {
	case in.Committed:
		in.ResponseWriter.WriteHeader(status)
	case interim(status):
		in.ResponseWriter.WriteHeader(status)
		in.renew()
	default:
		in.Response.WriteHeader(status)
	}
}

// renew puts a writer into the context that lets the handler's response pass after an interim head, if that head came
// through a Response which takes it for the final one.
func (in *inside) renew() {
	w := in.ec.Response()
	responses, end := passed(w)
	if _, elsewhere := end.(*inside); len(responses) > 0 && (!elsewhere || end == in) {
		in.ec.SetResponse(renewed{w})
	}
}

// imply is called when a body begins.
func (in *inside) imply() {
	reopen(in.Response)
	if !in.Committed {
		in.implied = in.implied || in.dropping()
	}
}

// dropping reports whether a Response between the handler and this one takes an interim head for the final one.
func (in *inside) dropping() bool {
	responses, _ := passed(in.ec.Response())
	if slices.ContainsFunc(responses, misled) {
		return true
	}
	return misled(in.Response)
}

func (in *inside) reopen() {
	responses, _ := passed(in.ec.Response())
	reopen(append(responses, in.Response)...)
}

func (in *inside) Write(p []byte) (int, error) {
	in.imply()
	return in.Response.Write(p)
}

func (in *inside) Flush() {
	in.imply()
	in.Response.Flush()
}

// Unwrap returns the Response, which [echo.UnwrapResponse] looks for. The cache's writer, behind it, offers the rest of
// what http.ResponseController uses.
func (in *inside) Unwrap() http.ResponseWriter { return in.Response }

// renewed is a writer in front of Responses that an interim head may have misled.
type renewed struct{ behind http.ResponseWriter }

func (w renewed) Header() http.Header { return w.Unwrap().Header() }

func (w renewed) WriteHeader(status int) { w.Unwrap().WriteHeader(status) }

func (w renewed) Write(p []byte) (int, error) { return w.Unwrap().Write(p) }

func (w renewed) Flush() { _ = http.NewResponseController(w.Unwrap()).Flush() }

func (w renewed) Unwrap() http.ResponseWriter {
	responses, _ := passed(w.behind)
	reopen(responses...)
	return w.behind
}
