package redisstore_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/store/redisstore"
)

// wires are the connections to a Redis in a bubble of fake time.
type wires struct {
	*redistest.Server
	t     *testing.T
	dials atomic.Int64
	down  atomic.Bool // nothing can be dialled
	mu    sync.Mutex
	all   []*wire
}

func newWires(t *testing.T) *wires {
	return &wires{Server: redistest.New(t), t: t}
}

func (w *wires) dial(context.Context, string, string) (net.Conn, error) {
	w.dials.Add(1)
	if w.down.Load() {
		return nil, errors.New("refused")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &wire{Conn: w.Dial(), sent: make(chan []byte, 100), closed: make(chan struct{})}
	go c.carry()
	w.all = append(w.all, c)
	return c, nil
}

func (w *wires) client() *redis.Client {
	o := tuned("127.0.0.1:1") // no name: go-redis would look it up, past the bubble
	o.Dialer = w.dial
	client := redis.NewClient(o)
	w.t.Cleanup(func() { _ = client.Close() })
	return client
}

// open returns a store on a client of its own, as another process has.
func (w *wires) open() *redisstore.Store { return on(w.t, w.client(), redisstore.Options{}) }

// cut makes a black hole of every connection there is.
func (w *wires) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.all {
		c.dead.Store(true)
	}
}

// hangUp closes every connection there is.
func (w *wires) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.all {
		_ = c.Close()
	}
}

// wire is a connection that can be cut off without anyone being told. Unlike a bare net.Pipe it takes what is written
// before the other side reads.
type wire struct {
	net.Conn
	dead   atomic.Bool
	sent   chan []byte
	closed chan struct{}
	once   sync.Once
}

func (w *wire) carry() {
	for {
		select {
		case p := <-w.sent:
			_, _ = w.Conn.Write(p)
		case <-w.closed:
			return
		}
	}
}

func (w *wire) Write(p []byte) (int, error) {
	if w.dead.Load() {
		return len(p), nil
	}
	select {
	case w.sent <- bytes.Clone(p):
		return len(p), nil
	case <-w.closed:
		return 0, net.ErrClosed
	}
}

func (w *wire) Read(p []byte) (int, error) {
	for {
		n, err := w.Conn.Read(p)
		if err != nil || !w.dead.Load() {
			return n, err
		}
	}
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}
