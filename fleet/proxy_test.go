package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// parrot answers every line with a bulk string of what it says.
func parrot(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				lines := bufio.NewReader(c)
				var replies bytes.Buffer
				for {
					line, err := lines.ReadString('\n')
					if err != nil {
						return
					}
					fmt.Fprintf(&replies, "$%d\r\n%s\r\n", len(line)-1, strings.TrimSuffix(line, "\n"))
					if lines.Buffered() == 0 { // a pipeline's replies come together
						_, _ = replies.WriteTo(c)
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func proxied(t *testing.T, m mode) (*proxy, func() net.Conn) {
	t.Helper()
	p, err := newProxy(parrot(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	p.set(m)
	return p, func() net.Conn {
		c, err := net.Dial("tcp", p.addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		return c
	}
}

// says sends lines and returns the reply's first bytes, as many as a whole one has.
func says(t *testing.T, c net.Conn, lines string, n int) string {
	t.Helper()
	if _, err := io.WriteString(c, lines); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	got, _ := io.ReadFull(c, b)
	return string(b[:got])
}

func TestProxyPasses(t *testing.T) {
	p, dial := proxied(t, pass)
	if got := says(t, dial(), "abc\n", 9); got != "$3\r\nabc\r\n" {
		t.Errorf("got %q", got)
	}
	if got := len(p.since(time.Time{})); got != 1 {
		t.Errorf("%d commands were counted", got)
	}
}

func TestProxyIsABlackHole(t *testing.T) {
	p, dial := proxied(t, pass)
	open := dial()
	says(t, open, "abc\n", 9)
	p.set(blackHole)
	for _, c := range []net.Conn{open, dial()} {
		_ = c.SetDeadline(time.Now().Add(50 * time.Millisecond))
		if got := says(t, c, "def\n", 9); got != "" {
			t.Errorf("got %q", got)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("the connection ended: %v", err)
		}
	}
	p.set(pass)
	if got := says(t, dial(), "ghi\n", 9); got != "$3\r\nghi\r\n" {
		t.Errorf("got %q after the black hole", got)
	}
}

func TestProxyDelays(t *testing.T) {
	p, dial := proxied(t, slow)
	p.late.Store(int64(30 * time.Millisecond))
	begun := time.Now()
	if got := says(t, dial(), "abc\n", 9); got != "$3\r\nabc\r\n" || time.Since(begun) < 30*time.Millisecond {
		t.Errorf("got %q after %v", got, time.Since(begun))
	}
}

// spoilt asks until the answer is not the whole one, over new connections where one has ended.
func spoilt(t *testing.T, dial func() net.Conn) (string, net.Conn) {
	t.Helper()
	for range 200 {
		c := dial()
		_ = c.SetDeadline(time.Now().Add(100 * time.Millisecond))
		if got := says(t, c, "abc\n", 9); got != "$3\r\nabc\r\n" {
			return got, c
		}
	}
	t.Fatal("nothing was spoilt")
	return "", nil
}

func TestProxyHalvesReplies(t *testing.T) {
	for _, m := range []mode{half, cut} {
		_, dial := proxied(t, m)
		got, c := spoilt(t, dial)
		_, err := c.Read(make([]byte, 1))
		if ended := err == io.EOF; got != "$3\r\n" || ended != (m == cut) {
			t.Errorf("%v: got %q, then %v", m, got, err)
		}
	}
}

func TestProxyFlipsABit(t *testing.T) {
	_, dial := proxied(t, flip)
	if got, _ := spoilt(t, dial); got == "" {
		t.Log("the bit was one that the parrot needs")
	}
}

func TestProxyReorders(t *testing.T) {
	_, dial := proxied(t, reorder)
	if got := says(t, dial(), "abc\ndef\n", 18); got != "$3\r\ndef\r\n$3\r\nabc\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestProxySwaps(t *testing.T) {
	_, dial := proxied(t, swap)
	for range 100 {
		a, b := dial(), dial()
		got := make(chan string)
		go func() { got <- says(t, a, "abc\n", 9) }()
		both := []string{says(t, b, "def\n", 9), <-got}
		if slices.Equal(both, []string{"$3\r\nabc\r\n", "$3\r\ndef\r\n"}) {
			return
		}
	}
	t.Error("no two replies changed places")
}

func TestRepliesAreReadWhole(t *testing.T) {
	for _, reply := range []string{
		"+OK\r\n", "-ERR x\r\n", ":12\r\n", "$-1\r\n", "*-1\r\n", "_\r\n", "$0\r\n\r\n", "$4\r\na\r\nb\r\n",
		"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "%1\r\n+a\r\n$1\r\nb\r\n", "|1\r\n+a\r\n+b\r\n:3\r\n", "=5\r\ntxt:a\r\n", "~1\r\n#t\r\n",
	} {
		from := bufio.NewReader(strings.NewReader(reply + "+next\r\n"))
		got, err := readReply(from)
		if string(got) != reply || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, reply)
		}
	}
}
