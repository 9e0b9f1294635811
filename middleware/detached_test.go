package middleware_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/middleware"
)

// tied is a handler's context and its client's.
type tied struct {
	client, handler context.Context
	hangUp          context.CancelFunc
	run             *middleware.RunContext
}

func tieTo(client context.Context, c *middleware.Common) *tied {
	t := &tied{}
	t.client, t.hangUp = context.WithCancel(client)
	t.handler, t.run = c.Start(t.client)
	return t
}

func (t *tied) end() {
	t.run.End()
	t.hangUp()
}

// endsAfter returns how long the handler's context goes on from now.
func (t *tied) endsAfter() time.Duration {
	began := time.Now()
	<-t.handler.Done()
	return time.Since(began)
}

func TestAHandlerOutlastsItsClientForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := middleware.NewCommon("", false)
		run := tieTo(t.Context(), c)
		defer run.end()
		run.hangUp()
		if got := run.endsAfter(); got != 30*time.Second {
			t.Errorf("the handler goes on for %v, want 30 s", got)
		}
		if n := c.Detached(); n != 1 {
			t.Errorf("%d detached while it runs, want 1", n)
		}
		run.run.End()
		if n := c.Detached(); n != 0 {
			t.Errorf("%d detached after its end", n)
		}
	})
}

func TestAHandlerWithAClientHasNoBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := middleware.NewCommon("", false)
		run := tieTo(t.Context(), c)
		time.Sleep(time.Hour)
		if run.handler.Err() != nil || c.Detached() != 0 {
			t.Errorf("after an hour with its client: %v, %d detached", run.handler.Err(), c.Detached())
		}
		run.end()
		if !errors.Is(run.handler.Err(), context.Canceled) {
			t.Errorf("after its end: %v", run.handler.Err())
		}
	})
}

func TestADeadlineHolds(t *testing.T) {
	for name, hangUp := range map[string]bool{"with its client": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := middleware.NewCommon("", false)
				limited, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				run := tieTo(limited, c)
				defer run.end()
				at, _ := limited.Deadline()
				if got, ok := run.handler.Deadline(); !ok || !got.Equal(at) {
					t.Errorf("Deadline = %v, %v; want %v", got, ok, at)
				}
				if hangUp {
					run.hangUp()
				}
				if got := run.endsAfter(); got != 10*time.Second {
					t.Errorf("ends after %v, want 10 s", got)
				}
				if synctest.Wait(); !errors.Is(context.Cause(run.handler), context.DeadlineExceeded) {
					t.Errorf("ends with %v", context.Cause(run.handler))
				}
				run.end()
				if n := c.Detached(); n != 0 {
					t.Errorf("%d detached after its end", n)
				}
			})
		})
	}
}

// TestAtMost64OutlastTheirClients: the 65th handler ends with its client, and when one has ended, another may outlast its client.
func TestAtMost64OutlastTheirClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := middleware.NewCommon("", false)
		var runs []*tied
		for range 65 {
			run := tieTo(t.Context(), c)
			defer run.end()
			run.hangUp()
			synctest.Wait()
			runs = append(runs, run)
		}
		for i, run := range runs {
			if goesOn := run.handler.Err() == nil; goesOn != (i < 64) {
				t.Errorf("handler %d goes on: %v", i, goesOn)
			}
		}
		if n := c.Detached(); n != 64 {
			t.Errorf("%d detached, want 64", n)
		}
		runs[0].run.End()
		next := tieTo(t.Context(), c)
		defer next.end()
		next.hangUp()
		if synctest.Wait(); next.handler.Err() != nil {
			t.Error("there is no room after one has ended")
		}
		for _, run := range append(runs, next) {
			run.run.End()
		}
		if n := c.Detached(); n != 0 {
			t.Errorf("%d detached after all have ended", n)
		}
	})
}

// TestAFollowerEndsWithItsClient, whichever comes first.
func TestAFollowerEndsWithItsClient(t *testing.T) {
	steps := map[string][2]func(*tied){
		"follow, then hang up": {func(r *tied) { r.run.FollowClient() }, func(r *tied) { r.hangUp() }},
		"hang up, then follow": {func(r *tied) { r.hangUp() }, func(r *tied) { r.run.FollowClient() }},
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := middleware.NewCommon("", false)
				run := tieTo(t.Context(), c)
				defer run.end()
				step[0](run)
				if synctest.Wait(); run.handler.Err() != nil {
					t.Error("the handler ends too soon")
				}
				step[1](run)
				if synctest.Wait(); !errors.Is(run.handler.Err(), context.Canceled) {
					t.Errorf("the handler goes on: %v", run.handler.Err())
				}
				run.end()
				if n := c.Detached(); n != 0 {
					t.Errorf("%d detached after its end", n)
				}
			})
		})
	}
}

// TestAClientWithoutEndNeedsNoRunContext.
func TestAClientWithoutEndNeedsNoRunContext(t *testing.T) {
	client := context.WithoutCancel(t.Context())
	ctx, run := middleware.NewCommon("", false).Start(client)
	if ctx != client || run != nil {
		t.Errorf("Start = %v, %v", ctx, run)
	}
	run.FollowClient() // and End, on nil
	run.End()
}

func TestTheHandlerSeesItsClientsValues(t *testing.T) {
	type key struct{}
	run := tieTo(context.WithValue(t.Context(), key{}, "value"), middleware.NewCommon("", false))
	defer run.end()
	if run.handler.Value(key{}) != "value" {
		t.Error("a value is lost")
	}
}

// TestDetachedLoadsShareTheBound with handlers, and give their place back when they end.
func TestDetachedLoadsShareTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := middleware.NewCommon("", false)
		client, hangUp := context.WithCancel(t.Context())
		ctx, end := c.Detach(client, new(middleware.Share))
		hangUp()
		if synctest.Wait(); ctx.Err() != nil || c.Detached() != 1 {
			t.Errorf("without its client: %v, %d detached", ctx.Err(), c.Detached())
		}
		end()
		if ctx.Err() == nil || c.Detached() != 0 {
			t.Errorf("after its end: %v, %d detached", ctx.Err(), c.Detached())
		}
	})
}
