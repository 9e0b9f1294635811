package process

import (
	"net/http"
	"net/http/httptest"
)

// A visitor asks one contestant for pages. It reuses its request and its writer, and is for one goroutine.
type visitor interface {
	visit(uri string)
	// watch is visit, and returns the content type and the body of the answer.
	watch(uri string) (contentType string, body []byte)
}

// browser is the header of a browser's request.
var browser = http.Header{
	"Accept":                    {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"},
	"Accept-Encoding":           {"gzip, deflate, br, zstd"},
	"Accept-Language":           {"en-GB,en;q=0.7,de;q=0.3"},
	"Priority":                  {"u=0, i"},
	"Referer":                   {"https://shop.example.com/items/"},
	"Sec-Fetch-Dest":            {"document"},
	"Sec-Fetch-Mode":            {"navigate"},
	"Sec-Fetch-Site":            {"same-origin"},
	"Upgrade-Insecure-Requests": {"1"},
	"User-Agent":                {"Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"},
}

// An agent is a visitor of an http.Handler.
type agent struct {
	handler http.Handler
	r       *http.Request
	w       writer
}

func newAgent(h http.Handler) *agent {
	r := httptest.NewRequest("GET", "http://shop.example.com"+uriOf(0), nil)
	r.Header = browser
	return &agent{handler: h, r: r, w: writer{header: http.Header{}}}
}

// agents makes a new visitor of the handler for each goroutine.
func agents(h http.Handler) func() visitor { return func() visitor { return newAgent(h) } }

func (a *agent) visit(uri string) {
	a.r.RequestURI, a.r.URL.Path = uri, uri[:pathLen]
	a.again()
}

// again asks for the same once more.
func (a *agent) again() {
	clear(a.w.header)
	a.w.status = http.StatusOK
	a.handler.ServeHTTP(&a.w, a.r)
}

func (a *agent) watch(uri string) (contentType string, body []byte) {
	a.w.keep, a.w.body = true, nil
	a.visit(uri)
	a.w.keep = false
	return a.w.header.Get("Content-Type"), a.w.body
}

// A writer costs next to nothing: its header is cleared for every request, and bodies are dropped unless they are to be
// kept.
type writer struct {
	header http.Header
	status int
	keep   bool
	body   []byte
}

func (w *writer) Header() http.Header    { return w.header }
func (w *writer) WriteHeader(status int) { w.status = status }

func (w *writer) Write(p []byte) (int, error) {
	if w.keep {
		w.body = append(w.body, p...)
	}
	return len(p), nil
}

func (w *writer) Flush() {}
