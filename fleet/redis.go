package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// A server is a redis-server process on a port of its own, without persistence.
type server struct {
	*process
	stage *stage
	port  int
	args  []string
	admin *redis.Client // for faults; patient, unlike the apps'
}

// redis starts a redis-server with more arguments, if any.
func (s *stage) redis(args ...string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := s.subdir()
	if err != nil {
		return nil, err
	}
	r := &server{stage: s, port: port}
	r.args = append([]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--save", "",
		"--appendonly", "no", "--repl-diskless-sync-delay", "0"}, args...)
	r.admin = redis.NewClient(&redis.Options{Addr: r.addr(), DisableIdentity: true, PoolSize: 2, ReadTimeout: 5 * time.Second})
	s.atEnd(func() { _ = r.admin.Close() })
	return r, r.start()
}

func (r *server) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }

func (r *server) url() string { return "redis://" + r.addr() }

// start starts the server, empty, on the same port as ever, and waits until it answers.
func (r *server) start() error {
	p, err := r.stage.crew.start(exec.Command("redis-server", r.args...))
	if err != nil {
		return err
	}
	r.process = p
	return r.stage.until("redis-server answers", 10*time.Second, r.answers)
}

func (r *server) answers() bool {
	conn, err := net.DialTimeout("tcp", r.addr(), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprint(conn, "PING\r\n"); err != nil {
		return false
	}
	var reply [4]byte
	n, err := conn.Read(reply[:])
	return err == nil && n > 0 // "+PONG" or, where a password is wanted, "-NOAUTH"
}

// do sends a command by the patient client.
func (r *server) do(args ...any) error {
	ctx, cancel := context.WithTimeout(r.stage, 10*time.Second)
	defer cancel()
	if err := r.admin.Do(ctx, args...).Err(); err != nil {
		return fmt.Errorf("redis: %v: %w", args, err)
	}
	return nil
}

// freePort returns a port that nobody listens on, low enough for a cluster's second port, which is 10,000 higher.
func freePort() (int, error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		if port -= 10_000; port < 10_000 {
			continue
		}
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port")
}

// A fault is one way in which Redis fails, and how it ends.
type fault struct {
	name  string
	begin func() error
	end   func() error
}

func (r *server) faults(p *proxy) []fault {
	return []fault{
		{"killed", func() error { r.kill(); return nil }, r.start},
		{"stopped", func() error { return r.stop() }, func() error { return r.cont() }}, // r.process is another by then
		{hole.String(), func() error { p.set(hole); return nil }, func() error { p.set(pass); return nil }},
		{"read-only", func() error { return r.do("REPLICAOF", "127.0.0.1", "1") }, func() error { return r.do("REPLICAOF", "NO", "ONE") }},
		{"full", func() error { return r.do("CONFIG", "SET", "maxmemory", "1") }, func() error { return r.do("CONFIG", "SET", "maxmemory", "0") }},
	}
}

func nothing() error { return nil }

func (r *server) evict(policy, limit string) error {
	if err := r.do("CONFIG", "SET", "maxmemory-policy", policy); err != nil {
		return err
	}
	return r.do("CONFIG", "SET", "maxmemory", limit)
}

// retype makes some keys lists, whatever they were.
func (r *server) retype() error {
	for range 50 {
		name, err := r.admin.RandomKey(r.stage).Result()
		if err != nil {
			return err
		}
		if err := r.listAt(name); err != nil {
			return err
		}
	}
	return nil
}

func (r *server) listAt(name string) error {
	pipe := r.admin.TxPipeline()
	pipe.Del(r.stage, name)
	pipe.RPush(r.stage, name, "not", "ours")
	pipe.Expire(r.stage, name, time.Minute)
	_, err := pipe.Exec(r.stage)
	return err
}
