package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An origin answers as cases say. It writes to its connections itself: net/http's server would mend what cases need
// broken, and take fields out of 304 answers.
type origin struct {
	mu    sync.Mutex
	plays map[string]*history // by token
	conns map[net.Conn]bool
	group sync.WaitGroup
}

func newOrigin() *origin {
	return &origin{plays: map[string]*history{}, conns: map[net.Conn]bool{}}
}

func (o *origin) expect(token string, steps []*step) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.plays[token] = &history{steps: steps, sent: make([]map[string]string, len(steps))}
}

func (o *origin) visits(token string) []*visit {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.plays[token].visits)
}

// serve answers until the listener is closed.
func (o *origin) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		o.conns[conn] = true
		o.mu.Unlock()
		o.group.Go(func() { o.converse(conn) })
	}
}

// close ends all connections; the listener is closed before.
func (o *origin) close() {
	o.mu.Lock()
	for conn := range o.conns {
		conn.Close()
	}
	o.mu.Unlock()
	o.group.Wait()
}

func (o *origin) converse(conn net.Conn) {
	defer func() {
		conn.Close()
		o.mu.Lock()
		delete(o.conns, conn)
		o.mu.Unlock()
	}()
	in := bufio.NewReader(conn)
	for {
		conn.SetReadDeadline(time.Now().Add(5 * time.Second)) // as Node's server does
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		conn.SetReadDeadline(time.Time{})
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		if o.answer(conn, r) != nil || r.Close {
			return
		}
	}
}

var errDisconnect = errors.New("the case wants the connection dropped")

func (o *origin) answer(conn net.Conn, r *http.Request) error {
	token, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/test/"), "/")
	number, _ := strconv.Atoi(r.Header.Get("Req-Num"))
	o.mu.Lock()
	h := o.plays[token]
	o.mu.Unlock()
	if h == nil || number < 1 || number > len(h.steps) {
		_, err := io.WriteString(conn, "HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n")
		return err
	}
	s := h.steps[number-1]
	time.Sleep(time.Duration(s.Pause * float64(time.Second)))
	for _, early := range s.Interim {
		a := &wire{status: early.status, phrase: http.StatusText(early.status)}
		for _, f := range early.header {
			a.add(f.name, f.value(s, time.Now(), ""))
		}
		if _, err := conn.Write(a.bytes("")); err != nil {
			return err
		}
	}
	o.mu.Lock()
	a := h.compose(s, r, number)
	o.mu.Unlock()
	if s.Disconnect {
		return errDisconnect
	}
	body := token
	if s.Body != nil && *s.Body != "" {
		body = *s.Body
	}
	_, err := conn.Write(a.final(r.Method, body))
	return err
}
