package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// reply looks like an error that Redis has replied with.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

// asked is everything that a Store can be asked for.
var asked = map[string]func(ctx context.Context, s *redisstore.Store) error{
	"Get": func(ctx context.Context, s *redisstore.Store) error {
		_, _, err := s.Get(ctx, storetest.Key("k"))
		return err
	},
	"Delete":  func(ctx context.Context, s *redisstore.Store) error { return s.Delete(ctx, storetest.Key("k")) },
	"Append":  func(ctx context.Context, s *redisstore.Store) error { return s.Append(ctx, store.Record{All: true}) },
	"CatchUp": func(ctx context.Context, s *redisstore.Store) error { return s.CatchUp(ctx) },
	"Rank":    func(ctx context.Context, s *redisstore.Store) error { return s.Rank(ctx, storetest.Key("k")) },
	"Hottest": func(ctx context.Context, s *redisstore.Store) error { _, err := s.Hottest(ctx, 1); return err },
	"Set": func(ctx context.Context, s *redisstore.Store) error {
		return s.Set(ctx, storetest.Key("k"), stamped(s, "k"), time.Minute)
	},
	"Lease": func(ctx context.Context, s *redisstore.Store) error {
		_, _, err := s.Lease(ctx, storetest.Key("k"), store.Token{1}, time.Second)
		return err
	},
	"Extend": func(ctx context.Context, s *redisstore.Store) error {
		_, err := s.Extend(ctx, storetest.Key("k"), store.Token{1}, time.Second)
		return err
	},
	"Release": func(ctx context.Context, s *redisstore.Store) error {
		return s.Release(ctx, storetest.Key("k"), store.Token{1}, 0)
	},
	"Keep": func(ctx context.Context, s *redisstore.Store) error {
		return s.Keep(ctx, storetest.Key("k"), store.Token{1}, stamped(s, "k"), time.Minute)
	},
}

// hookedDial fails to dial, as a hook.
type hookedDial struct{ err error }

func (h hookedDial) DialHook(redis.DialHook) redis.DialHook {
	return func(context.Context, string, string) (net.Conn, error) { return nil, h.err }
}
func (hookedDial) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (hookedDial) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Why there is no connection is never taken for Redis' reply to what was asked, whatever it looks like.
func TestAFailedConnectionIsNoReply(t *testing.T) {
	addr := storetest.NewServer(t).Addr()
	fails := map[string]func(err error) redis.UniversalClient{
		"dialer": func(err error) redis.UniversalClient {
			o := tuned(addr)
			o.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, err }
			return redis.NewClient(o)
		},
		"OnConnect": func(err error) redis.UniversalClient {
			o := tuned(addr)
			o.OnConnect = func(context.Context, *redis.Conn) error { return err }
			return redis.NewClient(o)
		},
		"hook": func(err error) redis.UniversalClient {
			client := redis.NewClient(tuned(addr))
			client.AddHook(hookedDial{err})
			return client
		},
		"cluster": func(err error) redis.UniversalClient {
			o := &redis.ClusterOptions{
				Addrs:     []string{addr},
				OnConnect: func(context.Context, *redis.Conn) error { return err },
				ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
					return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: []redis.ClusterNode{{Addr: addr}}}}, nil
				},
			}
			redisstore.TuneCluster(o)
			return redis.NewClusterClient(o)
		},
		"ring": func(err error) redis.UniversalClient {
			o := tuned(addr)
			return redis.NewRing(&redis.RingOptions{
				Addrs: map[string]string{"a": addr}, HeartbeatFn: func(context.Context, *redis.Client) bool { return true },
				OnConnect: func(context.Context, *redis.Conn) error { return err }, ContextTimeoutEnabled: true, MaxRetries: -1,
				DialerRetries: 1, DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, PoolTimeout: o.PoolTimeout,
			})
		},
	}
	for where, client := range fails {
		for _, err := range []error{
			redis.Nil, fmt.Errorf("all are unreachable: %w", redis.Nil), reply("WRONGTYPE of a hook"), reply("NOPERM for a hook"),
			reply("ERR it is equal or smaller"), reply("NOSCRIPT for a hook"), reply("OK"),
		} {
			t.Run(fmt.Sprint(where, " ", err), func(t *testing.T) {
				for op, ask := range asked {
					client := client(err)
					s := on(t, client, redisstore.Options{})
					s.OnFault(func(err error) {
						if errors.Is(err, store.ErrRecordsLost) {
							t.Errorf("%s: %v", op, err)
						}
					})
					got := ask(t.Context(), s)
					if got == nil || errors.Is(got, redis.Nil) {
						t.Errorf("%s = %v; want an error that is no reply", op, got)
					}
					if _, text := err.(reply); text && !strings.Contains(fmt.Sprint(got), err.Error()) && !errors.Is(got, context.DeadlineExceeded) {
						t.Errorf("%s = %v; want it to tell of %v", op, got, err)
					}
					_ = s.Close()
					_ = client.Close()
				}
			})
		}
	}
}

// sentinelOf starts a Sentinel of a master named main.
func sentinelOf(t *testing.T, master *peer, config string) *peer {
	return start(t, fmt.Sprintf("sentinel monitor main 127.0.0.1 %s 1\n%s", master.port, config), "--sentinel")
}

// A master's name that Sentinel does not know is named, and is not taken for a log that is empty.
func TestAMasterThatSentinelDoesNotKnowIsNamed(t *testing.T) {
	sentinel := sentinelOf(t, start(t, `save ""`), "")
	s := opened(t, "redis+sentinel://"+sentinel.addr+"/0?master_name=mian&read_timeout=250ms&dial_timeout=250ms")
	s.OnFault(func(err error) {
		if errors.Is(err, store.ErrRecordsLost) {
			t.Errorf("OnFault: %v", err)
		}
	})
	lost := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Follow(ctx, func(err error) {
			select {
			case lost <- err:
			default:
			}
		})
	}()
	if err := <-lost; err == nil || !strings.Contains(err.Error(), `no master named "mian"`) {
		t.Errorf("Follow tells %v; want the master's name", err)
	}
	cancel()
	<-done
	for op, ask := range asked {
		eventually(t, "its rest is over", func() bool {
			err := ask(t.Context(), s)
			if err == nil {
				t.Fatalf("%s = nil", op)
			}
			return strings.Contains(err.Error(), `no master named "mian"`)
		})
	}
	// A client of the caller's tells no name.
	o := &redis.FailoverOptions{SentinelAddrs: []string{sentinel.addr}, MasterName: "mian"}
	redisstore.TuneFailover(o)
	client := redis.NewFailoverClient(o)
	defer client.Close()
	own := on(t, client, redisstore.Options{})
	defer own.Close()
	if _, _, err := own.Get(t.Context(), storetest.Key("k")); err == nil || errors.Is(err, redis.Nil) || !strings.Contains(err.Error(), "MasterName") {
		t.Errorf("Get = %v; want that Sentinel knows no such master", err)
	}
}

// Where a password is missing or wrong the error says which of the two that a Sentinel's URL has.
func TestWhosePasswordIsWrongIsSaid(t *testing.T) {
	master := start(t, "save \"\"\nrequirepass inner")
	sentinel := sentinelOf(t, master, "requirepass outer")
	const ofSentinel, ofRedis = "from Sentinel, for which user:password@", "from Redis, for which the URL's parameters username and password"
	for credentials, want := range map[[2]string]string{
		{"", "&password=inner"}:                        ofSentinel,
		{":wrong@", "&password=inner"}:                 ofSentinel,
		{":outer@", ""}:                                ofRedis,
		{":outer@", "&password=wrong"}:                 ofRedis,
		{":outer@", "&username=nobody&password=inner"}: ofRedis,
	} {
		s := opened(t, "redis+sentinel://"+credentials[0]+sentinel.addr+"/0?master_name=main&read_timeout=250ms&dial_timeout=250ms"+credentials[1])
		_, _, err := s.Get(t.Context(), storetest.Key("k"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Get with %q and %q = %v; want %q", credentials[0], credentials[1], err, want)
		}
		if text := fmt.Sprint(err); strings.Contains(text, "inner") || strings.Contains(text, "outer") {
			t.Errorf("Get = %v; it holds a password", err)
		}
	}
	s := opened(t, "redis+sentinel://:outer@"+sentinel.addr+"/0?master_name=main&read_timeout=250ms&dial_timeout=250ms&password=inner")
	keep(t, s, "k")
}

// Redis repeats the arguments of a command that it does not know, and AUTH's are secrets.
func TestNoErrorHoldsAPassword(t *testing.T) {
	for _, config := range []string{"rename-command AUTH \"\"\nrename-command HELLO \"\"", "rename-command AUTH \"\""} {
		addr := start(t, "save \"\"\n"+config).addr
		for _, url := range []string{"redis://larder:s3cret@" + addr, "redis://:s3cret@" + addr} {
			s := opened(t, url+"?read_timeout=250ms")
			var told sync.Map
			s.OnFault(func(err error) { told.Store(err.Error(), true) })
			s.OnRest(func(_ store.Operation, err error) { told.Store(fmt.Sprint(err), true) })
			ctx, cancel := context.WithCancel(t.Context())
			var following sync.WaitGroup
			following.Go(func() { s.Follow(ctx, func(err error) { told.Store(fmt.Sprint(err), true) }) })
			for range 2 {
				for op, ask := range asked {
					if err := ask(ctx, s); err != nil {
						told.Store(op+": "+err.Error(), true)
					}
				}
			}
			cancel()
			following.Wait()
			told.Range(func(text, _ any) bool {
				if strings.Contains(text.(string), "s3cret") {
					t.Errorf("told of %v", text)
				}
				return true
			})
		}
	}
}
