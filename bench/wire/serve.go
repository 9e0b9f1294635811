package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v3"
)

// app is what every server process has, whichever contestant it runs.
type app struct {
	redis string // URL; "" where there is none
	runs  atomic.Int64
	watch *watch // nil: responses are not timed
}

// server is net/http's, or a contestant's own.
type server interface{ Serve(net.Listener) error }

// web has net/http serve a handler.
func web(build func(*app) (http.Handler, error)) func(*app) (server, error) {
	return func(a *app) (server, error) {
		h, err := build(a)
		if a.watch != nil {
			h = a.watch.on(h)
		}
		return &http.Server{Handler: h}, err
	}
}

// fasthttp serves a fiber app.
type fasthttp struct{ *fiber.App }

func (f fasthttp) Serve(l net.Listener) error {
	return f.Listener(l, fiber.ListenConfig{DisableStartupMessage: true})
}

// serve is the program as "serve CONTESTANT ADDRESS". It prints two addresses: the one that it serves on, and the one for
// control. It stops when its standard input is closed, and so never outlives the harness.
func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	var a app
	flags.StringVar(&a.redis, "redis", "", "URL of Redis")
	_ = flags.Parse(args)
	if flags.NArg() != 2 {
		return fmt.Errorf("usage: serve [-redis URL] CONTESTANT ADDRESS")
	}
	c, one, ok := find(flags.Arg(0))
	if !ok {
		return fmt.Errorf("no contestant is called %q", flags.Arg(0))
	}
	if c.timed {
		a.watch = new(watch)
	}
	s, err := one.build(&a)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", flags.Arg(1))
	if err != nil {
		return err
	}
	beside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(beside, a.control()) }()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println(l.Addr(), beside.Addr())
	return s.Serve(l)
}

// stats are a server's own statistics.
type stats struct {
	Runs int64         // of the handler
	CPU  time.Duration // CPU time of the process; 0 where the system does not report it
	Peak int64         // the most memory since the last reset, in bytes; 0 where the system does not report it
	P99  time.Duration // of responses since the last reset, within the server; 0: they are not timed
}

// control is served on its own port, so that the contestant does not handle its requests.
func (a *app) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(stats{a.runs.Load(), cpuTime(), peakMemory(), a.p99()})
	})
	mux.HandleFunc("GET /reset", func(http.ResponseWriter, *http.Request) { a.reset() })
	mux.HandleFunc("GET /profile", pprof.Profile)
	return mux
}

func (a *app) p99() time.Duration {
	if a.watch == nil {
		return 0
	}
	return a.watch.p99()
}

func (a *app) reset() {
	if a.watch != nil {
		a.watch.reset()
	}
	resetPeak()
}

// The load requests the pages of one list, each as often as the others. Pages differ only in their URL.
const path = "/products"

// query returns the query of a page. The limits use it as the key in Redis, too.
func query(page int) string { return "page=" + strconv.Itoa(page) + "&sort=price" }

// asks are the request headers of a browser, besides Host.
var asks = [][2]string{
	{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
	{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
	{"Accept-Language", "en-GB,en;q=0.7,de;q=0.3"},
	{"Accept-Encoding", "gzip, deflate, br, zstd"},
	{"Referer", "http://127.0.0.1/products?page=1&sort=price"},
	{"Cookie", "theme=dark; consent=1"},
	{"Upgrade-Insecure-Requests", "1"},
	{"Sec-Fetch-Dest", "document"},
	{"Sec-Fetch-Mode", "navigate"},
	{"Sec-Fetch-Site", "same-origin"},
}

// says are the response headers, besides those that servers add. They are the same as in bench/process.
var says = [][2]string{
	{"Content-Type", "application/json"},
	{"Content-Length", strconv.Itoa(len(body))},
	{"Cache-Control", "public, max-age=3600"},
	{"Etag", `"6fbd1a8c"`},
	{"Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"},
}

// lifetime outlasts every run.
const lifetime = time.Hour

// body is 1 KiB.
var body = bytes.Repeat([]byte(`{"id": 42, "name": "Lamp"},    `+"\n"), 32)

// write writes the response in the usual way.
func write(w http.ResponseWriter, body []byte) {
	head(w.Header())
	_, _ = w.Write(body)
}

func head(h http.Header) {
	for _, s := range says {
		h.Set(s[0], s[1])
	}
}

// ServeHTTP is the handler behind every cache. It counts its runs, so that the harness knows what was a hit.
func (a *app) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a.runs.Add(1)
	write(w, body)
}

// A watch measures the time of each response within the server, from the call of the handler to its return. That is the part
// that a cache can change. Clients see more: the queues of server, load and kernel. With sixty clients on one core, these
// are most of the time.
type watch struct {
	mu   sync.Mutex
	took []time.Duration
}

// mostTimes is how many responses are timed at most: more than a visit has.
const mostTimes = 1 << 20

func (t *watch) on(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called := time.Now()
		h.ServeHTTP(w, r)
		t.note(time.Since(called))
	})
}

func (t *watch) note(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.took) < mostTimes {
		t.took = append(t.took, d)
	}
}

// reset discards all times, and allocates memory for new ones.
func (t *watch) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took = make([]time.Duration, 0, mostTimes)
}

// p99 returns the time that one response in a hundred exceeds; 0 if none was timed.
func (t *watch) p99() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.took) == 0 {
		return 0
	}
	took := slices.Clone(t.took)
	slices.Sort(took)
	return took[len(took)*99/100]
}
