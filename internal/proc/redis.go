package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// redisStarts is how long a redis-server may take until it answers. On a machine that is not busy it takes milliseconds.
const redisStarts = 10 * time.Second

// A Redis is a redis-server process on a port of 127.0.0.1, without persistence. The embedded Process is the latest one that
// [Redis.Start] has started.
type Redis struct {
	*Process
	group *Group
	port  int
	args  []string
}

// StartRedis starts a redis-server, with additional arguments, if any, and waits until it answers. Its working directory is
// dir, which must exist.
func (g *Group) StartRedis(ctx context.Context, dir string, args ...string) (*Redis, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	r := &Redis{group: g, port: port}
	r.args = append([]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--save", "",
		"--appendonly", "no"}, args...)
	return r, r.Start(ctx)
}

// Start starts the server again, empty, on the same port. The previous process must be gone.
func (r *Redis) Start(ctx context.Context) error {
	p, err := r.group.Start(exec.Command("redis-server", r.args...))
	if err != nil {
		return err
	}
	r.Process = p
	return p.Answers(ctx, r.Addr())
}

// Port returns the port that the server listens on.
func (r *Redis) Port() int { return r.port }

// Addr returns the server's host and port.
func (r *Redis) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }

// URL returns the server's redis:// URL.
func (r *Redis) URL() string { return "redis://" + r.Addr() }

// Answers waits until the process answers as a redis-server or a Sentinel at the address.
func (p *Process) Answers(ctx context.Context, addr string) error {
	return until(ctx, "redis-server answers on "+addr, redisStarts, p.gone, func() bool { return pings(addr) })
}

// pings reports whether a server at the address answers a PING: with +PONG or, if it requires a password, with -NOAUTH.
func pings(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
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
	return err == nil && n > 0
}

// Ask sends one command without special characters, such as INFO stats, to the server at the address. It returns the raw
// reply. It needs no client library and closes its connection.
func Ask(addr, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprint(conn, command+"\r\nQUIT\r\n"); err != nil {
		return "", err
	}
	all, err := io.ReadAll(conn) // Redis closes after QUIT
	reply := strings.TrimSuffix(string(all), "+OK\r\n")
	if reply == "" && err == nil {
		err = io.ErrUnexpectedEOF
	}
	return reply, err
}

// FreePort returns a port of 127.0.0.1 that nobody listens on. It is below the ports that systems assign to outgoing
// connections, so that none of those takes it before it is used. It is also low enough for the second port of a Redis cluster,
// which is 10,000 higher.
func FreePort() (int, error) {
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
	return 0, errors.New("no port is free")
}
