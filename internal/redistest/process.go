package redistest

import (
	"os"
	"os/exec"
	"testing"

	"github.com/larder-go/cache/internal/proc"
)

// Real starts a redis-server for the test, on a free port of 127.0.0.1 and without persistence, and returns its URL.
// The server is killed when the test ends. If no redis-server is on the PATH, the test is skipped.
func Real(t testing.TB) string { return NewProcess(t).URL() }

// A Process is a test's redis-server process. Its methods must be called from the test's goroutine.
type Process struct {
	t     testing.TB
	redis *proc.Redis
}

// NewProcess is [Real] for tests that stop or restart the server.
func NewProcess(t testing.TB) *Process {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on the PATH; install Redis to run this test")
	}
	dir, processes := t.TempDir(), new(proc.Group)
	t.Cleanup(processes.End) // before the directory is removed
	redis, err := processes.StartRedis(t.Context(), dir)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	return &Process{t, redis}
}

// Addr returns the server's host and port.
func (p *Process) Addr() string { return p.redis.Addr() }

// URL returns the server's redis:// URL.
func (p *Process) URL() string { return p.redis.URL() }

// OS returns the process that was started last, for a signal.
func (p *Process) OS() *os.Process { return p.redis.OS() }

// Start starts the server again, empty, on the same port, and waits until it answers.
func (p *Process) Start() {
	p.t.Helper()
	if err := p.redis.Start(p.t.Context()); err != nil {
		p.t.Fatalf("redistest: %v", err)
	}
}

// Kill ends the server at once, as a crash would, and waits until it is gone. Killing it again does nothing.
func (p *Process) Kill() { p.redis.Kill() }
