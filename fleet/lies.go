package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"
)

// lies has Redis reply wrongly: with rubbish, with other types, with refusals.
func lies(s *stage) ([]figure, error) {
	var figures []figure
	for _, lie := range []struct {
		name string
		tell func(*stage) (*liar, error)
	}{
		{"Redis answers rubbish", rubbish},
		{"another type at every entry's key", otherEntries},
		{"another type at the purge log's key", otherLog},
		{"ACL denies every command", denied},
		{"wrong password", wrongPassword},
	} {
		l, err := lie.tell(s)
		if err != nil {
			return figures, fmt.Errorf("%s: %w", lie.name, err)
		}
		f, err := l.listen(s)
		if err != nil {
			return figures, fmt.Errorf("%s: %w", lie.name, err)
		}
		f.what = lie.name
		figures = append(figures, f)
	}
	return figures, nil
}

// A liar is a Redis that lies to an app process, behind a proxy that counts how often it is asked.
type liar struct {
	proxy *proxy
	url   string
	lie   func() error // makes it lie, after some honest answers; nil if it lies from the start
	heals bool         // the app repairs what is wrong, and so may use Redis as often as it likes
}

// listen sends 500 requests a second to an app process for a while, and counts how often that process used Redis.
func (l *liar) listen(s *stage) (figure, error) {
	n, err := s.app(l.url)
	if err != nil {
		return figure{}, err
	}
	pick := func(i int) (*node, key) { return n, nth([]kind{user, hot, fleet}[i%3], rand.IntN(50)) }
	if l.lie != nil {
		s.openLoop(500, time.Second/2, pick)
		if err := l.lie(); err != nil {
			return figure{}, err
		}
	}
	if err := n.reset(); err != nil {
		return figure{}, err
	}
	lasts := or(s, 10*time.Second, 2500*time.Millisecond)
	settled := time.Now().Add(lasts / 5)
	var v verdicts
	for _, a := range s.openLoop(500, lasts, pick) {
		v.see(s, a, 0, time.Minute)
	}
	probes := float64(bursts(l.proxy.since(settled))) / (lasts * 4 / 5).Seconds()
	c, err := n.counts()
	n.Kill()
	s.logf("lies: %v, last %s", c.Events, c.Last)
	return l.figure(&v, c, probes), err
}

func (l *liar) figure(v *verdicts, c counts, probes float64) figure {
	faults := 0
	for name, count := range c.Events {
		if strings.HasPrefix(name, "fault/") && !strings.HasSuffix(name, "/open") {
			faults += count
		}
	}
	must, got := "events, the handler answers, ≤ 2 probes/s", fmt.Sprintf("%.1f probes/s", probes)
	if l.heals {
		must, got = "events, the handler answers; then hits again", fmt.Sprintf("%d %% hits", 100*v.hits.Load()/v.all.Load())
	}
	figure := row("", must,
		fmt.Sprintf("%d of %d answered well; %d faults told; %s", v.all.Load()-v.bad(), v.all.Load(), faults, got),
		v.clean() && faults > 0 && (probes <= 2 || l.heals))
	return figure.timed(v.clean() && faults > 0)
}

func (v *verdicts) bad() int64 {
	return v.foreign.Load() + v.truncated.Load() + v.tooOld.Load() + v.unanswered.Load() + v.failed.Load()
}

// bursts counts events, but those within 50 ms of the first as one: a probe is a dial, a greeting and a command.
func bursts(times []time.Time) (n int) {
	var begun time.Time
	for _, t := range times {
		if t.Sub(begun) > 50*time.Millisecond {
			begun = t
			n++
		}
	}
	return n
}

// rubbish starts a server that replies with random bytes, with another protocol, or with replies to other commands.
func rubbish(s *stage) (*liar, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.atEnd(func() { _ = l.Close() })
	go func() {
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go babble(c, i)
		}
	}()
	p, err := s.proxy(l.Addr().String())
	if err != nil {
		return nil, err
	}
	p.blind = true
	return &liar{proxy: p, url: p.url()}, nil
}

func babble(c net.Conn, i int) {
	defer c.Close()
	buf := make([]byte, 32<<10)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
		reply := []byte("+OK\r\n:7\r\n$3\r\nfoo\r\n*1\r\n+x\r\n")
		switch i % 3 {
		case 1:
			reply = []byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
		case 2:
			reply = slices.Repeat([]byte{byte(rand.IntN(256)), byte(rand.IntN(256))}, 50)
		}
		if _, err := c.Write(reply); err != nil {
			return
		}
	}
}

// honest starts a Redis behind a proxy.
func (s *stage) honest() (*server, *liar, error) {
	r, err := s.redis()
	if err != nil {
		return nil, nil, err
	}
	p, err := s.proxy(r.Addr())
	if err != nil {
		return nil, nil, err
	}
	return r, &liar{proxy: p, url: p.url()}, nil
}

const logKey = "larder:1:log"

func otherEntries(s *stage) (*liar, error) {
	r, l, err := s.honest()
	if err != nil {
		return nil, err
	}
	l.heals = true
	l.lie = func() error {
		names, err := r.admin.Keys(s, "larder:1:*").Result()
		for _, name := range names {
			if name != logKey && err == nil {
				err = r.listAt(name)
			}
		}
		return err
	}
	return l, nil
}

func otherLog(s *stage) (*liar, error) {
	r, l, err := s.honest()
	if err != nil {
		return nil, err
	}
	l.lie = func() error { return r.listAt(logKey) }
	return l, nil
}

func denied(s *stage) (*liar, error) {
	r, l, err := s.honest()
	if err != nil {
		return nil, err
	}
	l.url = strings.Replace(l.url, "redis://", "redis://app:secret@", 1)
	return l, r.do("ACL", "SETUSER", "app", "on", ">secret", "~*", "-@all", "+hello", "+auth", "+ping", "+client")
}

func wrongPassword(s *stage) (*liar, error) {
	r, l, err := s.honest()
	if err != nil {
		return nil, err
	}
	l.url = strings.Replace(l.url, "redis://", "redis://:wrong@", 1)
	return l, r.do("CONFIG", "SET", "requirepass", "right")
}
