package main

import (
	"math/rand/v2"
	"net"
	"slices"
	"strings"
)

// rubbish is a server that answers bytes, another protocol, or what nobody asked for.
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

// honest is a Redis behind a proxy, with options.
func (s *stage) honest(args ...string) (*server, *liar, error) {
	r, err := s.redis(args...)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.proxy(r.addr())
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
