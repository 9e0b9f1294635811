package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// readyPath has responses that differ each time: two equal ones show that the proxy runs and stores responses.
const readyPath = "/ready/"

// An origin responds to each path as that path's play says. The play records the requests.
type origin struct {
	listener net.Listener
	server   *http.Server
	ready    atomic.Int64

	mu    sync.Mutex
	plays map[string]*play // by path
}

func newOrigin() (*origin, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &origin{listener: l, plays: map[string]*play{}}
	o.server = &http.Server{Handler: o}
	go func() { _ = o.server.Serve(l) }()
	return o, nil
}

func (o *origin) addr() string { return o.listener.Addr().String() }

func (o *origin) close() { _ = o.server.Close() }

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	p := o.plays[r.URL.Path]
	o.mu.Unlock()
	switch {
	case strings.HasPrefix(r.URL.Path, readyPath): // a different response each time
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, o.ready.Add(1))
		return
	case p == nil:
		http.NotFound(w, r)
		return
	}
	p.serve(w, r)
}

func (o *origin) expect(path string, p *play) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.plays[path] = p
}
