package main

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/larder-go/cache/internal/redistest"
)

func TestMain(m *testing.M) {
	hushRedis()
	rounds = 1000
	goleak.VerifyTestMain(m)
}

// each plays a test on every framework.
func each(t *testing.T, f func(t *testing.T, set settings)) {
	for _, framework := range []string{"nethttp", "echo"} {
		t.Run(framework, func(t *testing.T) {
			f(t, settings{framework: framework, database: database(t), redisURL: redisURL(t)})
		})
	}
}

// filled is a new database, made once: hashing passwords takes its time.
var filled = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "shop.db")
	db, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func database(t *testing.T) string {
	t.Helper()
	content, err := filled()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a shop?.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// redisURL is a Redis that outlives the sites of a test: a real one, if there is one.
func redisURL(t *testing.T) string {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return "redis://" + miniredis.RunT(t).Addr()
	}
	return redistest.Real(t)
}

// A site is one process's worth of shop.
type site struct {
	t      *testing.T
	url    string
	cancel func()
}

// visit opens the shop; it is closed with the test, or before it by cancel.
func visit(t *testing.T, set settings) *site {
	t.Helper()
	a, err := open(set)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a.handler)
	s := &site{t: t, url: server.URL}
	s.cancel = sync.OnceFunc(func() {
		a.endStreams()
		server.Close()
		if err := a.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.cancel)
	return s
}
