package storetest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// Redis starts a redis-server for the test, on a free port of 127.0.0.1 and without persistence, and returns its URL.
// The server is killed when the test ends. Where there is no redis-server on the PATH the test is skipped.
func Redis(t testing.TB) string { return NewServer(t).URL() }

// A Server is a redis-server process of a test. Its methods must be called from the test's goroutine.
type Server struct {
	t    testing.TB
	path string
	port string
	dir  string
	cmd  *exec.Cmd
}

// NewServer is [Redis] for tests that stop the server, or start it anew.
func NewServer(t testing.TB) *Server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not on the PATH; install Redis to run this test")
	}
	s := &Server{t: t, path: path, port: freePort(t), dir: t.TempDir()}
	t.Cleanup(s.Kill)
	s.Start()
	return s
}

// Addr returns the server's host and port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", s.port) }

// URL returns the server's redis:// URL.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Process returns the running server, for a signal, or nil.
func (s *Server) Process() *os.Process {
	if s.cmd == nil {
		return nil
	}
	return s.cmd.Process
}

// Start starts the server, empty, on the same port as ever, and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.cmd = exec.Command(s.path, "--bind", "127.0.0.1", "--port", s.port, "--dir", s.dir, "--save", "", "--appendonly", "no")
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("storetest: redis-server does not start: %v", err)
	}
	deadline := time.After(10 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case <-tick.C:
			if s.answers() {
				tick.Stop()
				return
			}
		case <-deadline:
			s.t.Fatalf("storetest: redis-server on port %s did not answer within 10 s", s.port)
		}
	}
}

// Kill ends the server at once, as a crash would, and waits until it is gone. Killing it again does nothing.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

func (s *Server) answers() bool {
	conn, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprint(conn, "PING\r\n")
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && line == "+PONG\r\n"
}

func freePort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("storetest: no free port: %v", err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
