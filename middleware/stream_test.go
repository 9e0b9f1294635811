package middleware_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/larder-go/cache"
)

const streamed = 100 << 20

// streams are handlers whose bodies are far over MaxBody.
var streams = map[string]http.HandlerFunc{
	"declared": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(streamed))
		stream(w)
	},
	"undeclared": func(w http.ResponseWriter, _ *http.Request) { stream(w) },
	"by ReadFrom": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.Copy(w, io.LimitReader(zeroes{}, streamed))
	},
}

func stream(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain")
	for sent := 0; sent < streamed; sent += len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

var chunk = make([]byte, 32<<10)

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return len(p), nil }

// served returns what fetches the handler's body once over a connection, through a cache and without.
func served(t testing.TB, h http.Handler) (cached, bare func()) {
	c, err := cache.New(cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	through := c.Middleware(cache.Policy{Class: cache.SharedGlobal, TTL: cache.DefaultTTL})(h)
	return fetcher(t, through), fetcher(t, h)
}

func fetcher(t testing.TB, h http.Handler) func() {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	client := server.Client()
	buf := make([]byte, 256<<10)
	return func() {
		resp, err := client.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
		if err != nil || n != streamed {
			t.Fatalf("%d bytes, %v; want %d", n, err, streamed)
		}
	}
}

// TestAStreamAllocatesLittle: what the beginning of a body over MaxBody was recorded in is used again by the next, so that
// there is no more of it than streams at once.
func TestAStreamAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const most = 64 << 10 // buffers that net/http pools
	for name, h := range streams {
		cached, bare := served(t, h)
		least := ^uint64(0)
		for range 3 {
			extra := allocated(cached)
			extra -= min(extra, allocated(bare))
			least = min(least, extra)
		}
		t.Logf("%s: %d KiB", name, least>>10)
		if least > most {
			t.Errorf("%s: a stream takes %d KiB more than without a cache; want %d at most", name, least>>10, most>>10)
		}
	}
}

func allocated(f func()) uint64 {
	f() // the connection
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// BenchmarkStream shows each stream without a cache and through one.
func BenchmarkStream(b *testing.B) {
	path := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, streamed), 0o600); err != nil {
		b.Fatal(err)
	}
	run := func(name string, h http.Handler) {
		cached, bare := served(b, h)
		for how, fetch := range map[string]func(){"bare": bare, "cached": cached} {
			b.Run(name+"/"+how, func(b *testing.B) {
				b.SetBytes(streamed)
				b.ReportAllocs()
				for b.Loop() {
					fetch()
				}
			})
		}
	}
	for name, h := range streams {
		run(name, h)
	}
	run("file", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }))
}
