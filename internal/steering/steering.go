// Package steering is how a handler, or a load, says what is to become of its response while it runs. Package cache has these functions
// for users; the run's context carries what they say.
package steering

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/user"
)

// AskedWho is what is wrong where a shared handler asks who is asking, or code inside the cache tells it.
const AskedWho = "it asks who is asking, or tells it (cache.WithUser), and its answers are for everyone: nobody is known there; " +
	"use per-user, or leave the user out of what is shared"

// Steering is what a handler says of its response while it runs. It is safe for concurrent use.
type Steering struct {
	mu      sync.Mutex
	tags    []string
	ttl     time.Duration
	noStore bool
	failed  bool
	Shared  bool // the response is for everyone: who is asking is hidden from what makes it
	asked   bool // … which has asked, or has told it
}

type steerContext struct{}

// A Run is the context of one run of a handler, or of a load: through it a handler can steer what becomes of its response, and what it asks for is known
// to be asked by the run.
type Run struct {
	context.Context
	Said Steering
	Link readthrough.Link
}

// Value implements context.Context.
func (c *Run) Value(key any) any {
	switch key.(type) {
	case steerContext:
		return &c.Said
	case readthrough.LinkKey:
		return &c.Link
	case user.Key:
		if c.Said.hides() {
			return user.Hidden{}
		}
	}
	return c.Context.Value(key)
}

// Start returns a context for the run of a load, of which the name and the id tell. Through it the load can steer what
// becomes of what it makes. If that is shared by all users, the context hides who is asking.
func Start(ctx context.Context, run *readthrough.Run, name, id string, shared bool) (context.Context, *Steering) {
	c := &Run{Context: ctx}
	c.Said.Shared = shared
	run.Link(&c.Link, name, id)
	return c, &c.Said
}

func steering(ctx context.Context, f func(*Steering)) {
	if s, ok := ctx.Value(steerContext{}).(*Steering); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		f(s)
	}
}

// AddTags labels the response that is being made.
func AddTags(ctx context.Context, tags ...string) {
	steering(ctx, func(s *Steering) { s.tags = append(s.tags, tags...) })
}

// SetTTL shortens the life of the response that is being made; of several calls the shortest counts. Zero or less refuses
// to have it kept.
func SetTTL(ctx context.Context, d time.Duration) {
	steering(ctx, func(s *Steering) {
		switch {
		case d <= 0:
			s.noStore = true
		case s.ttl == 0 || d < s.ttl:
			s.ttl = d
		}
	})
}

// NoStore refuses to have the response kept that is being made.
func NoStore(ctx context.Context) {
	steering(ctx, func(s *Steering) { s.noStore = true })
}

// hides reports whether who is asking is hidden, and remembers that somebody wanted to know.
func (s *Steering) hides() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = s.asked || s.Shared
	return s.Shared
}

// AskedWho reports whether what makes a shared response has asked who is asking, or has told it.
func (s *Steering) AskedWho() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Refuses reports whether the response may not be kept. Where there is nothing to say nobody has said so.
func (s *Steering) Refuses() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noStore
}

// Said returns what the handler has said so far: its tags, the longest life it allows (0: it has not said), and whether
// the response may not be kept.
func (s *Steering) Said() (tags []string, ttl time.Duration, noStore bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tags), s.ttl, s.noStore
}

// Fail tells that the response which is being made has failed although it has begun. The context is the handler's.
func Fail(ctx context.Context) {
	steering(ctx, func(s *Steering) { s.failed = true })
}

// HasFailed reports whether Fail was called.
func (s *Steering) HasFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}
