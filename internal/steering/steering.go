// Package steering lets a handler, or a load, control how its response is cached, while it runs. Package cache exports these functions to
// users; the run's context carries what they set.
package steering

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/user"
)

// AskedWho is the text of a warning: a shared handler asks who the user is, or code inside the cache sets a user.
const AskedWho = "it asks who is asking, or tells it (cache.WithUser), and its answers are for everyone: nobody is known there; " +
	"use per-user, or leave the user out of what is shared"

// Steering is what a handler says about its response while it runs. It is safe for concurrent use.
type Steering struct {
	mu      sync.Mutex
	tags    []string
	ttl     time.Duration
	noStore bool
	failed  bool
	Shared  bool // the response is for everyone: the user is hidden from what makes it
	asked   bool // … which has asked for the user, or has set one
}

type steerContext struct{}

// A Run is the context of one run of a handler, or of a load: through it the handler can steer how its response is cached, and requests
// that it makes are known to come from the run.
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

// Start returns a context for the run of a load with this name and id. Through it the load can steer how its result is cached. If all
// users share the result, the context hides who the user is.
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

// AddTags adds tags to the response that is being made.
func AddTags(ctx context.Context, tags ...string) {
	steering(ctx, func(s *Steering) { s.tags = append(s.tags, tags...) })
}

// SetTTL shortens the lifetime of the response that is being made; of several calls the shortest counts. Zero or less prevents storing
// it.
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

// NoStore prevents storing the response that is being made.
func NoStore(ctx context.Context) {
	steering(ctx, func(s *Steering) { s.noStore = true })
}

// hides reports whether the user is hidden, and remembers that somebody wanted to know.
func (s *Steering) hides() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = s.asked || s.Shared
	return s.Shared
}

// AskedWho reports whether what makes a shared response has asked for the user, or has set one.
func (s *Steering) AskedWho() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Refuses reports whether the response must not be stored. It is false for a nil Steering.
func (s *Steering) Refuses() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noStore
}

// Said returns what the handler has said so far: its tags, the longest lifetime that it allows (0: it has not said), and whether the
// response must not be stored.
func (s *Steering) Said() (tags []string, ttl time.Duration, noStore bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tags), s.ttl, s.noStore
}

// Fail marks the response that is being made as failed, although it has begun. The context is the handler's.
func Fail(ctx context.Context) {
	steering(ctx, func(s *Steering) { s.failed = true })
}

// HasFailed reports whether Fail was called.
func (s *Steering) HasFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}
