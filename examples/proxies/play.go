package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A play is one exchange through one proxy.
type play struct {
	ctx    context.Context
	url    string
	client *http.Client

	mu     sync.Mutex
	answer http.HandlerFunc
	seen   []*http.Request // by the origin
}

// A reply is a response as the client receives it.
type reply struct {
	status int
	http.Header
	body string
}

// fault ends a play; its text is the table's cell.
type fault string

// playAll plays all exchanges concurrently, and returns the cell of each.
func playAll(ctx context.Context, proxy, base string, o *origin) []string {
	cells := make([]string, len(exchanges))
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	var all sync.WaitGroup
	for i, e := range exchanges {
		all.Go(func() {
			path := fmt.Sprintf("/%s/%d", proxy, i)
			p := &play{ctx: ctx, url: base + path, client: client}
			o.expect(path, p)
			cells[i] = p.run(e)
		})
	}
	all.Wait()
	return cells
}

func (p *play) run(e exchange) (cell string) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case fault:
			cell = string(v)
		default:
			panic(v)
		}
	}()
	return e.play(p)
}

// sends has the origin respond with the header fields ("Name: value") from now on.
func (p *play) sends(fields ...string) { p.sendsStatus(http.StatusOK, fields...) }

func (p *play) sendsStatus(status int, fields ...string) {
	p.handles(func(w http.ResponseWriter, r *http.Request) {
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			w.Header().Add(name, value)
		}
		if tag := w.Header().Get("Etag"); tag != "" && weak(r.Header.Get("If-None-Match")) == weak(tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, bodyOf(p.asked()))
	})
}

// weak returns the tag without W/, as the weak comparison of If-None-Match takes it (RFC 9110 §13.1.2).
func weak(tag string) string { return strings.TrimPrefix(tag, "W/") }

// bodyOf is the body of the nth response, long enough to be worth compressing.
func bodyOf(n int) string { return fmt.Sprint(n, " ", strings.Repeat("0123456789", 100)) }

func (p *play) handles(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = h
}

func (p *play) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r)
	answer := p.answer
	p.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain")
	answer(w, r)
}

// asked is how many requests have reached the origin.
func (p *play) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen)
}

// last is the origin's last request.
func (p *play) last() *http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) == 0 {
		panic(fault("the origin is not asked"))
	}
	return p.seen[len(p.seen)-1]
}

func (p *play) get(fields ...string) reply { return p.do(http.MethodGet, fields...) }

func (p *play) do(method string, fields ...string) reply {
	r, err := http.NewRequestWithContext(p.ctx, method, p.url, nil)
	if err != nil {
		panic(fault(err.Error()))
	}
	r.Header.Set("User-Agent", "proxies")
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	response, err := p.client.Do(r)
	if err != nil {
		panic(fault("no answer: " + err.Error()))
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		panic(fault("a broken answer: " + err.Error()))
	}
	return reply{response.StatusCode, response.Header, string(b)}
}

// spared reports whether no request reaches the origin while f runs.
func (p *play) spared(f func()) bool {
	before := p.asked()
	f()
	return p.asked() == before
}

// kept says whether a repeated request is a hit. It tries a few times, because some proxies store a response only after they
// have sent it, and count in whole seconds.
func (p *play) kept(fields ...string) string {
	p.get(fields...)
	for range 3 {
		pass(100 * time.Millisecond)
		if p.again(fields...) == "kept" {
			return "kept"
		}
	}
	return "not kept"
}

func (p *play) again(fields ...string) string {
	return either(p.spared(func() { p.get(fields...) }), "kept", "not kept")
}

// pass waits: for the proxy's clock, not for an event.
func pass(d time.Duration) { time.Sleep(d) }

func either(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}
