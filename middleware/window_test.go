package middleware_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/larder-go/cache"
)

// stall requests n pages over one HTTP/2 connection whose streams have a window of 0, so that no body is ever sent. The connection
// stays open until the test ends.
func stall(t *testing.T, server *httptest.Server, n int, path string) {
	t.Helper()
	conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // a test server
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	frames := http2.NewFramer(conn, conn)
	_ = frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	_ = frames.WriteSettingsAck()
	var block bytes.Buffer
	fields := hpack.NewEncoder(&block)
	for i := range n {
		block.Reset()
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "example.com"}, {":path", fmt.Sprint(path, i)}} {
			_ = fields.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		err := frames.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
		if err != nil {
			t.Fatal(err)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }()
}

// Clients that read nothing do not keep other pages out of the cache.
func TestStalledStreamsDoNotStopFilling(t *testing.T) {
	c, err := cache.New(cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	const connections, streams, size = 2, 145, 256 << 10 // more than is recorded at once
	var ended, runs atomic.Int64
	server := httptest.NewUnstartedServer(c.Middleware(cache.Policy{Class: cache.SharedGlobal})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/slow/") {
			runs.Add(1)
			_, _ = io.WriteString(w, "page")
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(size))
		for range size / 4096 {
			_, _ = w.Write(make([]byte, 4096))
		}
		ended.Add(1)
	})))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = nullLog
	server.StartTLS()
	t.Cleanup(server.Close) // after the connections of those who stall
	client := server.Client()
	get := func(path string) string {
		resp, err := client.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	for i := range connections {
		path := fmt.Sprint("/slow/", i, "/")
		stall(t, server, streams, path)
		for i := range streams { // waits until the page is made
			if n := len(get(fmt.Sprint(path, i))); n != size {
				t.Fatalf("a page has %d bytes; want %d", n, size)
			}
		}
	}
	for i := range 1000 {
		path := fmt.Sprint("/page/", i)
		get(path)
		get(path)
	}
	if ended.Load() < connections*streams {
		t.Errorf("%d handlers have returned; want %d", ended.Load(), connections*streams)
	}
	if n := runs.Load(); n != 1000 {
		t.Errorf("1000 pages were made %d times; want each kept", n)
	}
}
