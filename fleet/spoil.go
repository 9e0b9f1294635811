package main

import (
	"bufio"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

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

// spoil sends a reply, and the one after it if there is one, as the mode says. It returns false when the connection is to
// end.
func (p *proxy) spoil(m mode, reply, next []byte, down net.Conn) bool {
	switch m {
	case hole:
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

// An offer is a reply that waits for another connection's to take its place.
type offer struct {
	reply []byte
	other chan<- []byte
}

// exchange returns another connection's reply, if one comes at the same time, and gives it ours.
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
