package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/internal/proc"
)

// A server is a redis-server process, with a client for the harness.
type server struct {
	*proc.Redis
	stage *stage
	admin *redis.Client // with longer timeouts than the apps' clients
}

// redis starts a redis-server with additional arguments, if any.
func (s *stage) redis(args ...string) (*server, error) {
	dir, err := s.subdir()
	if err != nil {
		return nil, err
	}
	r := &server{stage: s}
	if r.Redis, err = s.processes.StartRedis(s, dir, append(args, "--repl-diskless-sync-delay", "0")...); err != nil {
		return nil, err
	}
	r.admin = redis.NewClient(&redis.Options{Addr: r.Addr(), DisableIdentity: true, PoolSize: 2, ReadTimeout: 5 * time.Second})
	s.atEnd(func() { _ = r.admin.Close() })
	return r, nil
}

// do sends a command through the harness' own client.
func (r *server) do(args ...any) error {
	ctx, cancel := context.WithTimeout(r.stage, 10*time.Second)
	defer cancel()
	if err := r.admin.Do(ctx, args...).Err(); err != nil {
		return fmt.Errorf("redis: %v: %w", args, err)
	}
	return nil
}

// A fault is one way to make Redis fail, and to end that.
type fault struct {
	name  string
	begin func() error
	end   func() error
}

func (r *server) faults(p *proxy) []fault {
	return []fault{
		{"killed", func() error { r.Kill(); return nil }, func() error { return r.Start(r.stage) }},
		// Closures, because "killed" replaces r.Process: they read it when the fault begins.
		{"stopped", func() error { return r.Signal(syscall.SIGSTOP) }, func() error { return r.Signal(syscall.SIGCONT) }},
		{blackHole.String(), func() error { p.set(blackHole); return nil }, func() error { p.set(pass); return nil }},
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

// retype replaces the values of some keys by lists.
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
