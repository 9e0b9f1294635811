package main

import (
	"bufio"
	"io"
	"net"
	"time"
)

func (p *proxy) accept() {
	for {
		down, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(down)
	}
}

// serve passes on one connection. The target is dialled when something is to be sent to it.
func (p *proxy) serve(down net.Conn) {
	p.keep(down)
	defer p.forget(down)
	first := bufio.NewReader(down)
	if _, err := first.Peek(1); err != nil || !p.passes(down) {
		return
	}
	up, err := net.DialTimeout("tcp", p.target, time.Second)
	if err != nil {
		p.note()
		return
	}
	p.keep(up)
	defer p.forget(up)
	go func() {
		p.replies(up, down)
		_ = down.Close()
		_ = up.Close()
	}()
	p.commands(first, down, up)
}

// passes says whether the mode lets anything pass; if not it comes back when the connection has ended.
func (p *proxy) passes(c net.Conn) bool {
	if mode(p.mode.Load()) != hole {
		return true
	}
	p.note()
	_, _ = io.Copy(io.Discard, c)
	return false
}

func (p *proxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = struct{}{}
}

func (p *proxy) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}
