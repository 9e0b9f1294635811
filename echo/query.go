package echocache

import (
	"bytes"
	"net/url"
	"reflect"
	"sync"

	"github.com/labstack/echo/v4"
)

// narrowed is the context of a handler whose query is narrower than that of outer middleware. Echo parses the query once and
// caches it for good, in a map that others may hold: so the handler has a context of its own, and so has whatever echo
// calls on its behalf.
type narrowed struct {
	echo.Context
	query url.Values // nil: not parsed yet
}

// narrow returns the context that the handler is to see with the request, or nil if it must be the existing one: an
// app's own type, which handlers may assert.
func narrow(ec echo.Context) echo.Context {
	if reflect.TypeOf(ec) != ownContext() {
		return nil
	}
	_ = ec.QueryParams() // otherwise echo would parse the handler's query, and cache it for outer middleware
	return &narrowed{Context: ec}
}

// ownContext is the type of echo's own contexts.
var ownContext = sync.OnceValue(func() reflect.Type { return reflect.TypeOf(echo.New().NewContext(nil, nil)) })

func (n *narrowed) QueryParam(name string) string { return n.QueryParams().Get(name) }

func (n *narrowed) QueryParams() url.Values {
	if n.query == nil {
		n.query = n.Request().URL.Query()
	}
	return n.query
}

func (n *narrowed) Bind(i any) error { return n.Echo().Binder.Bind(i, n) }

func (n *narrowed) Error(err error) { n.Echo().HTTPErrorHandler(err, n) }

func (n *narrowed) Render(code int, name string, data any) error {
	if n.Echo().Renderer == nil {
		return echo.ErrRendererNotRegistered
	}
	var page bytes.Buffer
	if err := n.Echo().Renderer.Render(&page, name, data, n); err != nil {
		return err
	}
	return n.HTMLBlob(code, page.Bytes())
}

// indent is the indentation of echo's responses if the query has ?pretty.
func (n *narrowed) indent() string {
	if _, pretty := n.QueryParams()["pretty"]; pretty || n.Echo().Debug {
		return "  "
	}
	return ""
}

func (n *narrowed) JSON(code int, i any) error { return n.JSONPretty(code, i, n.indent()) }

func (n *narrowed) JSONPretty(code int, i any, indent string) error {
	n.typed(echo.MIMEApplicationJSON)
	n.Response().Status = code
	return n.Echo().JSONSerializer.Serialize(n, i, indent)
}

func (n *narrowed) JSONP(code int, callback string, i any) error {
	n.typed(echo.MIMEApplicationJavaScriptCharsetUTF8)
	n.Response().WriteHeader(code)
	if _, err := n.Response().Write([]byte(callback + "(")); err != nil {
		return err
	}
	if err := n.Echo().JSONSerializer.Serialize(n, i, n.indent()); err != nil {
		return err
	}
	_, err := n.Response().Write([]byte(");"))
	return err
}

func (n *narrowed) XML(code int, i any) error { return n.XMLPretty(code, i, n.indent()) }

func (n *narrowed) typed(contentType string) {
	if h := n.Response().Header(); h.Get(echo.HeaderContentType) == "" {
		h.Set(echo.HeaderContentType, contentType)
	}
}
