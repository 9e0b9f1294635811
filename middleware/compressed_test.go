package middleware_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// compressors wrap the cache. One of them encodes everything, also parts, as echo's does.
var compressors = map[string]func(http.Handler) http.Handler{
	"all": func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") || r.Method == http.MethodHead {
				next.ServeHTTP(w, r)
				return
			}
			z := &coding{ResponseWriter: w, z: gzip.NewWriter(w)}
			next.ServeHTTP(z, r)
			if z.coded {
				_ = z.z.Close()
			}
		})
	},
}

type coding struct {
	http.ResponseWriter
	z     *gzip.Writer
	coded bool
}

func (c *coding) Write(p []byte) (int, error) {
	if !c.coded {
		c.WriteHeader(http.StatusOK)
	}
	return c.z.Write(p)
}

func (c *coding) WriteHeader(status int) {
	if !c.coded && status != http.StatusNotModified {
		c.coded = true
		c.Header().Del("Content-Length")
		c.Header().Set("Content-Encoding", "gzip")
	}
	c.ResponseWriter.WriteHeader(status)
}

// resume gets the page, breaks off in the middle and gets the rest, as clients do that resume downloads. It returns the bytes
// that the client then has, decoded.
func resume(t *testing.T, url string, fields ...string) (whole []byte, status int) {
	t.Helper()
	get := func(fields ...string) (*http.Response, []byte) {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range fields {
			addField(r.Header, field)
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, body
	}
	first, body := get("Accept-Encoding: gzip")
	half := body[:len(body)/2]
	fields = append(fields, "Accept-Encoding: gzip", fmt.Sprintf("Range: bytes=%d-", len(half)))
	for i, field := range fields {
		if field == "If-Range: its tag" {
			fields[i] = "If-Range: " + first.Header.Get("Etag")
		}
	}
	second, rest := get(fields...)
	coded := rest
	if second.StatusCode == http.StatusPartialContent {
		coded = append(half[:len(half):len(half)], rest...)
	}
	if second.Header.Get("Content-Encoding") != "gzip" {
		return coded, second.StatusCode
	}
	z, err := gzip.NewReader(bytes.NewReader(coded))
	if err != nil {
		return nil, second.StatusCode
	}
	whole, _ = io.ReadAll(z)
	return whole, second.StatusCode
}

// A client that resumes a download behind a compressor gets the whole response, or bytes that continue what it has.
func TestDownloadsBehindACompressorResume(t *testing.T) {
	text := []byte(strings.Repeat("the quick brown fox jumps over the lazy dog; ", 200))
	contents := map[string]http.HandlerFunc{
		"written": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write(text)
		},
		"untyped": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) },
		"json": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_, _ = w.Write(text)
		},
		"served": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "x.txt", time.Time{}, bytes.NewReader(text))
		},
		"dated": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/css")
			w.Header().Set("Last-Modified", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
			_, _ = w.Write(text)
		},
		"weak": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/css")
			w.Header().Set("Etag", `W/"a"`)
			_, _ = w.Write(text)
		},
	}
	for _, class := range shared {
		for name, outer := range compressors {
			for kind, content := range contents {
				for _, p := range []cache.Policy{{Class: class}, {Class: class, RFC9111: true, TTL: time.Minute}} {
					server := behind(t, p, outer, content)
					for kept := false; !kept; { // the client has its answer before the cache has it
						h, _ := ask(t, server, http.MethodGet, "Accept-Encoding: identity")
						kept = strings.Contains(h.Get("Cache-Status"), "hit")
					}
					for _, fields := range [][]string{{"If-Range: its tag"}, {}} {
						if got, status := resume(t, server.URL+"/x", fields...); !bytes.Equal(got, text) {
							t.Errorf("%s, %v, %s %q: the client has %d bytes after a %d; want %d", name, p, kind, fields, len(got), status, len(text))
						}
					}
				}
			}
		}
	}
}

// Ranges that no compressor can spoil are served as usual.
func TestRangesBesideCompressors(t *testing.T) {
	const strong, weak = `Etag: "v1"`, `Etag: W/"v1"`
	cases := []struct {
		fields []string // of the answer
		accept string
		want   int
	}{
		{[]string{"Content-Type: text/html"}, "gzip, deflate, br", 200},
		{[]string{"Content-Type: TEXT/HTML; charset=utf-8"}, "gzip", 200},
		{[]string{"Content-Type: application/json"}, "zstd", 200},
		{[]string{"Content-Type: application/problem+json"}, "br", 200},
		{[]string{"Content-Type: application/atom+xml"}, "br", 200},
		{[]string{"Content-Type: application/javascript"}, "*", 200},
		{[]string{"Content-Type: image/svg+xml"}, "identity;q=0.5, gzip;q=0.1", 200},
		{[]string{"Content-Type: application/wasm"}, "gzip", 200},
		{[]string{"Content-Type: font/ttf"}, "gzip", 200},
		{[]string{"Content-Type: font/opentype"}, "gzip", 200},
		{[]string{"Content-Type: application/vnd.apple.mpegurl"}, "gzip", 200},
		{[]string{"Content-Type: application/protobuf"}, "gzip", 200},
		{nil, "gzip", 200}, // what net/http guesses
		{[]string{"Content-Type: text/html", "Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT"}, "gzip", 200},
		{[]string{"Content-Type: text/html", weak}, "gzip", 200},
		{[]string{"Content-Type: text/html", "Accept-Ranges: bytes"}, "gzip", 200},
		{[]string{"Content-Type: text/html", strong}, "gzip", 206},
		{[]string{"Content-Type: text/html"}, "", 206},
		{[]string{"Content-Type: text/html"}, "identity", 206},
		{[]string{"Content-Type: text/html"}, "gzip;q=0, br;q=0.0, *;q=0", 206},
		{[]string{"Content-Type: text/html"}, "gzip;q=0, br;q=0.1", 200},
		{[]string{"Content-Type: application/octet-stream"}, "gzip", 206},
		{[]string{"Content-Type: image/png"}, "gzip", 206},
		{[]string{"Content-Type: video/mp4"}, "gzip, br", 206},
		{[]string{"Content-Type: application/zip"}, "gzip", 206},
		{[]string{"Content-Type: font/woff2"}, "gzip", 206},
	}
	for _, p := range []cache.Policy{{}, {RFC9111: true, TTL: time.Minute}} {
		run(t, func(t *testing.T, s *site) {
			for i, c := range cases {
				s.handle(fmt.Sprint("GET /x", i), p, answering(200, "0123456789", c.fields...))
			}
			for i, c := range cases {
				target, options := fmt.Sprint("/x", i), []option{as("")}
				if s.class == cache.PerUser {
					options[0] = as("alice")
				}
				s.miss(target, options...)
				if c.accept != "" {
					options = append(options, header("Accept-Encoding", c.accept))
				}
				wantBody(t, s.hit(target, options...), "0123456789")
				for _, ranges := range []string{"bytes=2-5", "bytes=-4", "bytes=0-1,4-5", "bytes=20-"} {
					got := s.hit(target, append(options, header("Range", ranges))...)
					want := c.want
					if want == 206 && ranges == "bytes=20-" {
						want = 416
					}
					if got.status != want || want == 200 && (got.body != "0123456789" || got.header["Accept-Ranges"] != nil) {
						t.Errorf("%v: %q, Accept-Encoding %q, %s: %d %q %v; want %d", p, c.fields, c.accept, ranges, got.status, got.body, got.header, want)
					}
				}
			}
		})
	}
}

// An entity tag that the cache makes is weak: it is good for If-None-Match, and not for combining ranges.
func TestTagsThatWeMakeAreWeak(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, setting("Content-Type: application/octet-stream"))
		body := s.miss("/x").body
		tag := s.hit("/x").header.Get("Etag")
		strong, weak := strings.CutPrefix(tag, "W/")
		if !weak {
			t.Fatalf("the tag is %s; want a weak one", tag)
		}
		for _, condition := range []string{tag, strong, `"x", ` + tag} {
			wantStatus(t, s.hit("/x", header("If-None-Match", condition)), 304)
		}
		head := s.do("HEAD", "/x")
		wantHeader(t, head, "Etag", tag)
		wantStatus(t, s.do("HEAD", "/x", header("If-None-Match", tag)), 304)
		for _, condition := range []string{tag, strong} {
			got := s.hit("/x", header("Range", "bytes=0-2"), header("If-Range", condition))
			wantStatus(t, got, 200)
			wantBody(t, got, body)
		}
		got := s.hit("/x", header("Range", "bytes=0-2"))
		wantStatus(t, got, 206)
		wantBody(t, got, body[:3])
		wantHeader(t, got, "Etag", tag)
		wantStatus(t, s.hit("/x", header("Range", "bytes=0-2"), header("If-Match", tag)), 412) // RFC 9110 §13.1.1: strongly compared
		wantBody(t, s.hit("/x", header("If-Match", tag)), body)
	})
}

// The first response has a Content-Length, as a stored one has, and still passes through compressors complete.
func TestFirstAnswersGoThroughCompressorsWhole(t *testing.T) {
	page := strings.Repeat("the quick brown fox; ", 150)
	for name, outer := range compressors {
		server := behind(t, cache.Policy{Class: cache.SharedGlobal}, outer, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, page[:100])
			_, _ = io.WriteString(w, page[100:])
		})
		for i := range 2 {
			h, body := ask(t, server, "GET", "Accept-Encoding: gzip")
			z, err := gzip.NewReader(strings.NewReader(body))
			if err != nil || h.Get("Content-Encoding") != "gzip" {
				t.Errorf("%s, answer %d: not coded: %v %v", name, i, h, err)
				continue
			}
			if got, err := io.ReadAll(z); err != nil || string(got) != page {
				t.Errorf("%s, answer %d: %d bytes, %v; want %d", name, i, len(got), err, len(page))
			}
		}
	}
}
