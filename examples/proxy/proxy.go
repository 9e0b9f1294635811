package main

import (
	"errors"
	"log"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/larder-go/cache"
)

// newProxy caches the origin for all methods and all paths: POST and its like pass, and make what they change stale.
func newProxy(set settings, transport http.RoundTripper, c *cache.Cache) (http.Handler, error) {
	policy := cache.Policy{Class: set.class, RFC9111: true}
	if _, err := c.Compile(policy, ""); err != nil { // Middleware would panic
		return nil, err
	}
	reverse := &httputil.ReverseProxy{
		Rewrite:        rewriteTo(set.origin),
		Transport:      patient{transport, set.timeout},
		ModifyResponse: passed,
		ErrorHandler:   unreachable,
	}
	cached := c.Middleware(policy)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reverse.ServeHTTP(&writer{ResponseWriter: w, head: r.Method == http.MethodHead}, r)
	}))
	return limitForwards(cached), nil
}

func rewriteTo(origin *url.URL) func(*httputil.ProxyRequest) {
	return func(pr *httputil.ProxyRequest) {
		pr.Out.URL.RawQuery = pr.In.URL.RawQuery // as it selects the response, not cleaned
		pr.SetURL(origin)
		pr.Out.Host = pr.In.Host // links and redirects that the origin makes lead back here
		addVia(pr.Out.Header, pr.In.ProtoMajor, pr.In.ProtoMinor)
	}
}

// passed says on the response that it has passed here. It is kept with that.
func passed(response *http.Response) error {
	addVia(response.Header, response.ProtoMajor, response.ProtoMinor)
	return nil
}

// newTransport is the way to the origin.
func newTransport() *http.Transport {
	return &http.Transport{
		// No Proxy: the origin is where -origin says, whatever the environment has.
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 100,
		// Without this the Transport would ask for gzip by itself and unpack it: the response kept would not be the origin's.
		DisableCompression: true,
		// Origins close idle connections too, Node's after 5 s, and a request on a connection that is being closed fails
		// (only some are tried again). So the proxy lets go first.
		IdleConnTimeout: 2 * time.Second,
	}
}

// unreachable answers for an origin that does not. It must be a 5xx: for those the cache serves what it has, stale.
func unreachable(w http.ResponseWriter, r *http.Request, err error) {
	log.Printf("%s %s: %v", r.Method, r.URL.Redacted(), err)
	w.Header().Set("Cache-Control", "no-store")
	if errors.Is(err, errHung) {
		http.Error(w, "the origin takes too long", http.StatusGatewayTimeout)
		return
	}
	http.Error(w, "the origin cannot be reached", http.StatusBadGateway)
}

// A writer is what ReverseProxy writes to. It leaves the origin's response as it is, and lets the cache keep it.
type writer struct {
	http.ResponseWriter
	head   bool // HEAD was asked
	stream bool // of events: it is flushed, and so not kept
}

// WriteHeader keeps net/http from guessing a Content-Type that the origin did not send: it does not where the key is
// there, and a field without values is sent by nobody. Answers without a body get no guess anyway; there the key would
// look like news of a response that is kept.
func (w *writer) WriteHeader(status int) {
	if h := w.Header(); status >= 200 {
		if _, typed := h["Content-Type"]; !typed && !w.head && status != http.StatusNotModified {
			h["Content-Type"] = nil
		}
		w.stream = isEvents(h)
	}
	w.ResponseWriter.WriteHeader(status)
}

// isEvents reports whether the response is a stream of events.
func isEvents(h http.Header) bool {
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return media == "text/event-stream"
}

// FlushError passes on only what must not wait. ReverseProxy flushes every response whose length is unknown, after each
// write, and a response that is flushed is a stream, which the cache does not keep: no chunked answer ever would be kept.
func (w *writer) FlushError() error {
	if !w.stream {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets ReverseProxy take over the connection for another protocol, such as WebSocket.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
