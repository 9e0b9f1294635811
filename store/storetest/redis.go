package storetest

import (
	"os"
	"os/exec"
	"testing"

	"github.com/larder-go/cache/internal/proc"
)

// Redis starts a redis-server for the test, on a free port of 127.0.0.1 and without persistence, and returns its URL.
// The server is killed when the test ends. Where there is no redis-server on the PATH the test is skipped.
func Redis(t testing.TB) string { return NewServer(t).URL() }

// A Server is a redis-server process of a test. Its methods must be called from the test's goroutine.
type Server struct {
	t     testing.TB
	redis *proc.Redis
}

// NewServer is [Redis] for tests that stop the server, or start it anew.
func NewServer(t testing.TB) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on the PATH; install Redis to run this test")
	}
	dir, processes := t.TempDir(), new(proc.Group)
	t.Cleanup(processes.End) // before the directory is removed
	redis, err := processes.StartRedis(t.Context(), dir)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	return &Server{t, redis}
}

// Addr returns the server's host and port.
func (s *Server) Addr() string { return s.redis.Addr() }

// URL returns the server's redis:// URL.
func (s *Server) URL() string { return s.redis.URL() }

// Process returns the server that was started last, for a signal.
func (s *Server) Process() *os.Process { return s.redis.OS() }

// Start starts the server again, empty, on the same port, and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	if err := s.redis.Start(s.t.Context()); err != nil {
		s.t.Fatalf("storetest: %v", err)
	}
}

// Kill ends the server at once, as a crash would, and waits until it is gone. To kill it again does nothing.
func (s *Server) Kill() { s.redis.Kill() }
