package redisstore_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// panicking is a hook that panics with pipelines, before they are sent or after that, while it is on.
type panicking struct{ before, after atomic.Bool }

func (*panicking) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*panicking) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (p *panicking) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if p.before.Load() {
			panic("before")
		}
		err := next(ctx, cmds)
		if p.after.Load() {
			panic("after")
		}
		return err
	}
}

// A pipeline that panics is an error to whoever was to be answered by it, and never nothing.
func TestAPanicIsNoMiss(t *testing.T) {
	client := dial(t, storetest.NewServer(t).Addr())
	hook := new(panicking)
	client.AddHook(hook)
	s := on(t, client, redisstore.Options{})
	key := keep(t, s, "k")
	for when, panics := range map[string]*atomic.Bool{"before": &hook.before, "after": &hook.after} {
		panics.Store(true)
		if _, ok, err := s.Get(t.Context(), key); err == nil {
			t.Errorf("%s it is sent: Get = %v, nil; want an error", when, ok)
		}
		if _, lease, err := s.Lease(t.Context(), key, store.Token{1}, time.Second); err == nil {
			t.Errorf("%s it is sent: Lease = %v, nil; want an error", when, lease)
		}
		if err := s.Append(t.Context(), store.Record{Labels: labels("one")}); err == nil {
			t.Errorf("%s it is sent: Append = nil; want an error", when)
		}
		if err := s.Delete(t.Context(), key); err == nil {
			t.Errorf("%s it is sent: Delete = nil; want an error", when)
		}
		if _, err := s.Hottest(t.Context(), 1); err == nil {
			t.Errorf("%s it is sent: Hottest = nil; want an error", when)
		}
		panics.Store(false)
	}
}
