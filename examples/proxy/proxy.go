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

// newProxy caches the origin for all methods and all paths. Unsafe methods, such as POST, pass, and invalidate what they change
// (RFC 9111 §4.4).
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
		pr.Out.URL.RawQuery = pr.In.URL.RawQuery // not cleaned by ReverseProxy: this query is in the key
		pr.SetURL(origin)
		pr.Out.Host = pr.In.Host // so that the origin's links and redirects lead here
		addVia(pr.Out.Header, pr.In.ProtoMajor, pr.In.ProtoMinor)
	}
}

// passed adds Via to the response, which is stored with it.
func passed(response *http.Response) error {
	addVia(response.Header, response.ProtoMajor, response.ProtoMinor)
	return nil
}

// newTransport returns the transport for requests to the origin.
func newTransport() *http.Transport {
	return &http.Transport{
		// No Proxy: the origin is where -origin says, whatever HTTP_PROXY says.
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 100,
		// Otherwise the Transport would request gzip by itself and decompress it: the stored response would not be the origin's.
		DisableCompression: true,
		// Origins close idle connections, too, Node's after 5 s. A request on a connection that is being closed fails, and
		// only some requests are retried. So the proxy closes it first.
		IdleConnTimeout: 2 * time.Second,
	}
}

// unreachable responds if the origin does not. It must be a 5xx: then the cache may serve a stale response instead.
func unreachable(w http.ResponseWriter, r *http.Request, err error) {
	log.Printf("%s %s: %v", r.Method, r.URL.Redacted(), err)
	w.Header().Set("Cache-Control", "no-store")
	if errors.Is(err, errHung) {
		http.Error(w, "the origin takes too long", http.StatusGatewayTimeout)
		return
	}
	http.Error(w, "the origin cannot be reached", http.StatusBadGateway)
}

// A writer is what ReverseProxy writes to. It leaves the origin's response as it is, and lets the cache store it.
type writer struct {
	http.ResponseWriter
	head   bool // the request is HEAD
	stream bool // of events: it is flushed, and so not stored
}

// WriteHeader keeps net/http from guessing a Content-Type that the origin did not send. net/http guesses none if the key is in
// the header map, and it sends no field without values. For HEAD and 304 it guesses none anyway; there the key would look like
// an update of the stored response.
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

// FlushError flushes only streams of events. ReverseProxy flushes every response of unknown length after each write, but to
// the cache a flushed response is a stream, which it does not store: no chunked response would ever be stored.
func (w *writer) FlushError() error {
	if !w.stream {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets ReverseProxy hijack the connection for another protocol, such as WebSocket.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
