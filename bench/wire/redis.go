package main

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// A database is a redis-server process, on a port of its own and without persistence.
type database struct {
	addr string
}

func (d *database) url() string { return "redis://" + d.addr }

// startRedis starts it on the load's core: the server that is measured has its own for itself.
func (v *visit) startRedis() error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(addr)
	p, err := v.crew.start(exec.Command("redis-server", "--bind", host, "--port", port, "--save", "", "--appendonly", "no"), v.setup.load)
	if err != nil {
		return err
	}
	v.redis = &database{addr}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		_, err := v.redis.ask("PING")
		if err == nil {
			return nil
		}
		select {
		case <-p.gone:
			return fmt.Errorf("redis-server ended: %w", p.err)
		default:
		}
		if time.Now().After(deadline) || v.Err() != nil {
			return fmt.Errorf("redis-server does not answer: %w", err)
		}
	}
}

// reads returns how many keys have been read with success since the server started.
func (d *database) reads() (int64, error) {
	text, err := d.ask("INFO stats")
	if err != nil {
		return 0, err
	}
	_, text, _ = strings.Cut(text, "keyspace_hits:")
	text, _, _ = strings.Cut(text, "\r\n")
	return strconv.ParseInt(text, 10, 64)
}

// ask sends one command that is a line, and returns its reply as it comes.
func (d *database) ask(command string) (string, error) {
	conn, err := net.DialTimeout("tcp", d.addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprint(conn, command+"\r\nQUIT\r\n"); err != nil {
		return "", err
	}
	var reply strings.Builder
	for buffer := make([]byte, 4096); ; {
		n, err := conn.Read(buffer)
		reply.Write(buffer[:n])
		if err != nil { // Redis closes after QUIT
			return reply.String(), nil
		}
	}
}

// freeAddr returns an address that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
