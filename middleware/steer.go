package middleware

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/user"
)

// Steering is what a handler says of its answer while it runs. It is safe for concurrent use.
type Steering struct {
	mu      sync.Mutex
	tags    []string
	ttl     time.Duration
	noStore bool
	failed  bool
	shared  bool // the answer is for everyone: who is asking is hidden from what makes it
	asked   bool // … which has asked, or has told it
}

type steerContext struct{}

// steered is the context of a run: through it a handler can steer what becomes of its answer, and what it asks for is known
// to be asked by the run.
type steered struct {
	context.Context
	said Steering
	link readthrough.Link
}

func (c *steered) Value(key any) any {
	switch key.(type) {
	case steerContext:
		return &c.said
	case readthrough.LinkKey:
		return &c.link
	case user.Key:
		if c.said.hides() {
			return user.Hidden{}
		}
	}
	return c.Context.Value(key)
}

// Steer returns a context for the run of a load, of which the name and the id tell. Through it the load can steer what
// becomes of what it makes. If that is shared by all users, the context hides who is asking.
func Steer(ctx context.Context, run *readthrough.Run, name, id string, shared bool) (context.Context, *Steering) {
	c := &steered{Context: ctx}
	c.said.shared = shared
	run.Link(&c.link, name, id)
	return c, &c.said
}

func steering(ctx context.Context, f func(*Steering)) {
	if s, ok := ctx.Value(steerContext{}).(*Steering); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		f(s)
	}
}

// AddTags labels the answer that is being made.
func AddTags(ctx context.Context, tags ...string) {
	steering(ctx, func(s *Steering) { s.tags = append(s.tags, tags...) })
}

// SetTTL shortens the life of the answer that is being made; of several calls the shortest counts. Zero or less refuses
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

// NoStore refuses to have the answer kept that is being made.
func NoStore(ctx context.Context) {
	steering(ctx, func(s *Steering) { s.noStore = true })
}

// hides reports whether who is asking is hidden, and remembers that somebody wanted to know.
func (s *Steering) hides() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = s.asked || s.shared
	return s.shared
}

// AskedWho reports whether what makes a shared answer has asked who is asking, or has told it.
func (s *Steering) AskedWho() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// refuses reports whether the answer may not be kept. Where there is nothing to say nobody has said so.
func (s *Steering) refuses() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noStore
}

// Said returns what the handler has said so far: its tags, the longest life it allows (0: it has not said), and whether
// the answer may not be kept.
func (s *Steering) Said() (tags []string, ttl time.Duration, noStore bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tags), s.ttl, s.noStore
}

// Fail tells that the answer which is being made has failed although it has begun. The context is the handler's.
func Fail(ctx context.Context) {
	steering(ctx, func(s *Steering) { s.failed = true })
}

func (s *Steering) hasFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}
