package main

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A mode is what a proxy does to what passes.
type mode int32

const (
	pass    mode = iota
	hole         // connections are taken and stay open; nothing passes, either way
	slow         // replies come late
	half         // of a reply the first half comes, then nothing any more
	cut          // of a reply the first half comes, then the connection ends
	reorder      // two replies that are there at once change places
	swap         // replies of two connections change places
	flip         // a bit of a reply or a command is another
	modes
)

var modeNames = [modes]string{"pass", "black hole", "delay", "half reply", "cut reply", "reordered replies", "swapped replies", "flipped bits"}

func (m mode) String() string { return modeNames[m] }

// A proxy stands between an app process and a Redis, on a port of its own, and spoils what passes.
type proxy struct {
	listener net.Listener
	target   string
	mode     atomic.Int32
	late     atomic.Int64 // how late replies come in the mode slow
	offers   chan offer   // of replies to be swapped
	blind    bool         // what the target says need not be replies of Redis, and is passed on as it comes

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	asked []time.Time // when something was sent to the target, or would have been
}

// newProxy starts a proxy to the target, which passes everything.
func newProxy(target string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, target: target, offers: make(chan offer), conns: map[net.Conn]struct{}{}}
	go p.accept()
	return p, nil
}

// proxy starts a proxy that ends with the stage.
func (s *stage) proxy(target string) (*proxy, error) {
	p, err := newProxy(target)
	if err == nil {
		s.atEnd(p.close)
	}
	return p, err
}

func (p *proxy) addr() string { return p.listener.Addr().String() }
func (p *proxy) url() string  { return "redis://" + p.addr() }

// set changes the mode, for open connections too. What was stuck in a mode that lets nothing pass is gone with its
// connections.
func (p *proxy) set(m mode) {
	if old := mode(p.mode.Swap(int32(m))); m == pass && old != pass && old != slow {
		p.drop()
	}
}

// drop ends all connections.
func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.drop()
}

// since returns when something was asked of the target after a time.
func (p *proxy) since(t time.Time) []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, _ := slices.BinarySearchFunc(p.asked, t, time.Time.Compare)
	return slices.Clone(p.asked[i:])
}

func (p *proxy) note() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.asked) >= 1<<16 {
		p.asked = slices.Delete(p.asked, 0, 1<<15)
	}
	p.asked = append(p.asked, time.Now())
}
