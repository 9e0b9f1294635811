package main

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A mode is what a proxy does to the traffic.
type mode int32

const (
	pass      mode = iota
	blackHole      // connections are accepted and stay open; nothing passes, either way
	slow           // replies come late
	half           // the first half of a reply comes, then nothing more
	cut            // the first half of a reply comes, then the connection ends
	reorder        // two pipelined replies change places
	swap           // replies of two connections change places
	flip           // a bit of a reply or a command is flipped
	modes
)

var modeNames = [modes]string{"pass", "black hole", "delay", "half reply", "cut reply", "reordered replies", "swapped replies", "flipped bits"}

func (m mode) String() string { return modeNames[m] }

// A proxy stands between an app process and a Redis, on its own port, and does to the traffic what its mode says.
type proxy struct {
	listener net.Listener
	target   string
	mode     atomic.Int32
	late     atomic.Int64 // how late replies come in mode slow, in nanoseconds
	offers   chan offer   // of replies to be swapped
	blind    bool         // the target need not speak Redis' protocol: what it sends is passed on as it comes, in every mode

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	asked []time.Time // when something was sent to the target, or would have been
}

// newProxy starts a proxy to the target, in mode pass.
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

// set changes the mode, also for open connections. A change from a mode that breaks connections to pass closes them: what
// was stuck in them is lost.
func (p *proxy) set(m mode) {
	if old := mode(p.mode.Swap(int32(m))); m == pass && old != pass && old != slow {
		p.drop()
	}
}

// drop closes all connections.
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

// since returns the times, from t on, at which something was sent to the target, or would have been.
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

func (p *proxy) accept() {
	for {
		down, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(down)
	}
}

// serve passes on one connection. It dials the target only when there is something to send.
func (p *proxy) serve(down net.Conn) {
	p.track(down)
	defer p.untrack(down)
	first := bufio.NewReader(down)
	if _, err := first.Peek(1); err != nil || !p.passes(down) {
		return
	}
	up, err := net.DialTimeout("tcp", p.target, time.Second)
	if err != nil {
		p.note()
		return
	}
	p.track(up)
	defer p.untrack(up)
	go func() {
		p.replies(up, down)
		_ = down.Close()
		_ = up.Close()
	}()
	p.commands(first, down, up)
}

// passes reports whether the mode lets anything pass. If not, it returns only when the connection has ended.
func (p *proxy) passes(c net.Conn) bool {
	if mode(p.mode.Load()) != blackHole {
		return true
	}
	p.note()
	_, _ = io.Copy(io.Discard, c)
	return false
}

func (p *proxy) track(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = struct{}{}
}

func (p *proxy) untrack(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}

// commands passes on what the app sends, as it comes.
func (p *proxy) commands(from *bufio.Reader, down, up net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !p.passes(down) {
				return
			}
			p.note()
			if mode(p.mode.Load()) == flip && rand.IntN(4) == 0 {
				flipBit(buf[:n])
			}
			if _, err := up.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// replies passes on what Redis sends, reply by reply.
func (p *proxy) replies(up, down net.Conn) {
	if p.blind {
		_, _ = io.Copy(down, up)
		return
	}
	from := bufio.NewReaderSize(up, 64<<10)
	for {
		reply, err := readReply(from)
		if err != nil {
			return
		}
		var next []byte
		m := mode(p.mode.Load())
		if m == reorder && from.Buffered() > 0 {
			if next, err = readReply(from); err != nil {
				return
			}
		}
		if !p.spoil(m, reply, next, down) {
			return
		}
	}
}

// spoil sends a reply, and the next one if there is one, as the mode says. It returns false if the connection must end.
func (p *proxy) spoil(m mode, reply, next []byte, down net.Conn) bool {
	switch m {
	case blackHole:
		return p.passes(down)
	case slow:
		time.Sleep(time.Duration(p.late.Load()))
	case half, cut:
		if rand.IntN(4) == 0 {
			_, _ = down.Write(reply[:len(reply)/2])
			if m == half {
				_, _ = io.Copy(io.Discard, down) // until the app gives up
			}
			return false
		}
	case reorder:
		reply = append(next[:len(next):len(next)], reply...)
	case swap:
		reply = p.exchange(reply)
	case flip:
		if rand.IntN(4) == 0 {
			flipBit(reply)
		}
	}
	_, err := down.Write(reply)
	return err == nil
}

func flipBit(b []byte) { b[rand.IntN(len(b))] ^= 1 << rand.IntN(8) }

// An offer is a reply that waits to be swapped with another connection's.
type offer struct {
	reply []byte
	other chan<- []byte
}

// exchange swaps the reply with that of another connection, if one comes at the same time.
func (p *proxy) exchange(reply []byte) []byte {
	other := make(chan []byte, 1)
	select {
	case o := <-p.offers:
		o.other <- reply
		return o.reply
	case p.offers <- offer{reply, other}:
		return <-other
	case <-time.After(5 * time.Millisecond):
		return reply
	}
}

var errReply = errors.New("not a reply of Redis")

// readReply reads one reply of Redis, of RESP2 or RESP3, as it stands on the wire.
func readReply(from *bufio.Reader) ([]byte, error) {
	return appendReply(nil, from)
}

func appendReply(b []byte, from *bufio.Reader) ([]byte, error) {
	line, err := from.ReadBytes('\n')
	if err != nil {
		return b, err
	}
	if len(line) < 3 {
		return b, errReply
	}
	b = append(b, line...)
	var count int
	many := 1 // elements for each that is counted
	switch line[0] {
	case '+', '-', ':', '_', '#', ',', '(': // one line
		return b, nil
	case '$', '!', '=', '*', '~', '>', '%', '|':
		if count, err = strconv.Atoi(string(line[1 : len(line)-2])); err != nil {
			return b, errReply
		}
	default:
		return b, errReply
	}
	switch line[0] {
	case '$', '!', '=':
		return appendBulk(b, from, count)
	case '%':
		many = 2
	case '|': // attributes precede the reply that they belong to
		count, many = 2*count+1, 1
	}
	for range count * many {
		if b, err = appendReply(b, from); err != nil {
			return b, err
		}
	}
	return b, nil
}

// appendBulk reads count bytes and a line end. A negative count is the null reply, without bytes.
func appendBulk(b []byte, from *bufio.Reader, count int) ([]byte, error) {
	if count < 0 {
		return b, nil
	}
	at := len(b)
	b = append(b, make([]byte, count+2)...)
	_, err := io.ReadFull(from, b[at:])
	return b, err
}
