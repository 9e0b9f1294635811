package redisstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// rotate gives a Redis another password and back again, over and over. While it has the other one, connections that are
// there go on, some end, and those that are dialled instead are refused by a reply.
func rotate(ctx context.Context, admin *redis.Client) {
	for i := 0; ctx.Err() == nil; i++ {
		_ = admin.ConfigSet(ctx, "requirepass", "other").Err()
		if i%10 == 0 {
			_ = admin.ClientKillByFilter(ctx, "TYPE", "normal", "SKIPME", "yes").Err()
		}
		for j, line := range strings.Split(admin.ClientList(ctx).Val(), "\n") {
			if id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " "); j%4 == i%4 {
				_ = admin.ClientKillByFilter(ctx, "ID", id, "SKIPME", "yes").Err()
			}
		}
		rest(ctx, 10*time.Millisecond)
		_ = admin.ConfigSet(ctx, "requirepass", "right").Err()
		rest(ctx, 5*time.Millisecond)
	}
}

// rest lets real time pass, as a server needs it to.
func rest(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// What a Redis that refuses connections has not written is not taken as written: a purge that returned nil is in the log, an
// entry that was kept can be read.
func TestNothingCountsAsWrittenThatARefusedConnectionWasToWrite(t *testing.T) {
	server := redistest.NewProcess(t)
	admin := redis.NewClient(&redis.Options{Addr: server.Addr(), PoolSize: 1})
	defer admin.Close()
	o := tuned(server.Addr())
	o.Password = "right"
	client := redis.NewClient(o)
	defer client.Close()
	s := on(t, client, redisstore.Options{})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { rotate(ctx, admin) })
	var kept sync.Map // of keying.Key
	var n atomic.Int64
	for range 12 {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := n.Add(1)
				name := fmt.Sprint("entry ", i)
				key := storetest.Key(name)
				write := func() error { return s.Set(ctx, key, stamped(s, name), time.Hour) }
				if i%2 == 0 {
					token := store.Token{byte(i), byte(i >> 8), byte(i >> 16)}
					_, _, _ = s.Lease(ctx, key, token, time.Second)
					write = func() error { return s.SetAndRelease(ctx, key, token, stamped(s, name), time.Hour) }
				}
				_, _, _ = s.Get(ctx, key)
				if write() == nil {
					kept.Store(key, name)
				}
			}
		})
	}
	var told []keying.Label
	for i := range 400 {
		r := store.Record{Labels: labels(fmt.Sprint("purge ", i))}
		if s.Append(ctx, r) == nil {
			told = append(told, r.Labels...)
		}
		rest(ctx, time.Millisecond)
	}
	stop()
	wg.Wait()
	if err := admin.ConfigSet(t.Context(), "requirepass", "").Err(); err != nil {
		t.Fatal(err)
	}
	log := logged(t, admin)
	lost := 0
	for _, label := range told {
		if !log[label] {
			lost++
		}
	}
	if lost > 0 || len(told) == 0 {
		t.Errorf("%d of %d acknowledged purges are not in the log", lost, len(told))
	}
	missing, all := 0, 0
	kept.Range(func(key, _ any) bool {
		all++
		if admin.Exists(t.Context(), "larder:1:"+key.(keying.Key).String()).Val() == 0 {
			missing++
		}
		return true
	})
	if missing > 0 || all == 0 {
		t.Errorf("%d of %d entries that were kept are not there", missing, all)
	}
	t.Logf("%d of 400 purges and %d of %d entries were acknowledged", len(told), all, n.Load())
}

// logged returns the labels of the records in the log.
func logged(t *testing.T, client *redis.Client) map[keying.Label]bool {
	t.Helper()
	found := map[keying.Label]bool{}
	for _, m := range client.XRange(t.Context(), logName, "-", "+").Val() {
		r, err := store.Codec{}.DecodeRecord([]byte(m.Values["r"].(string)))
		if err != nil {
			t.Fatal(err)
		}
		for _, label := range r.Labels {
			found[label] = true
		}
	}
	return found
}

// Whatever is asked of a Redis that refuses the connection by a reply fails, and the breakers count it.
func TestAConnectionRefusedByAReplyIsAFailure(t *testing.T) {
	key, token := storetest.Key("k"), store.Token{1}
	ask := map[string]func(ctx context.Context, s *redisstore.Store) error{
		"Get":     func(ctx context.Context, s *redisstore.Store) error { _, _, err := s.Get(ctx, key); return err },
		"Delete":  func(ctx context.Context, s *redisstore.Store) error { return s.Delete(ctx, key) },
		"Append":  func(ctx context.Context, s *redisstore.Store) error { return s.Append(ctx, store.Record{All: true}) },
		"Rank":    func(ctx context.Context, s *redisstore.Store) error { return s.Rank(ctx, key) },
		"Hottest": func(ctx context.Context, s *redisstore.Store) error { _, err := s.Hottest(ctx, 1); return err },
		"Lease": func(ctx context.Context, s *redisstore.Store) error {
			_, _, err := s.Lease(ctx, key, token, time.Second)
			return err
		},
		"SetAndRelease": func(ctx context.Context, s *redisstore.Store) error {
			return s.SetAndRelease(ctx, key, token, stamped(s, "k"), time.Minute)
		},
	}
	for name, refuse := range map[string]func(ctx context.Context, admin *redis.Client) error{
		"another password": func(ctx context.Context, admin *redis.Client) error {
			return admin.ConfigSet(ctx, "requirepass", "other").Err()
		},
		"too many clients": func(ctx context.Context, admin *redis.Client) error {
			return admin.ConfigSet(ctx, "maxclients", "1").Err()
		},
	} {
		for op, ask := range ask {
			t.Run(name+" "+op, func(t *testing.T) {
				server := redistest.NewProcess(t)
				admin := redis.NewClient(&redis.Options{Addr: server.Addr(), PoolSize: 1})
				defer admin.Close()
				o := tuned(server.Addr())
				o.Password = "right"
				client := redis.NewClient(o)
				defer client.Close()
				s := on(t, client, redisstore.Options{})
				defer s.Close()
				if err := refuse(t.Context(), admin); err != nil {
					t.Fatal(err)
				}
				for range 5 {
					if err := ask(t.Context(), s); err == nil {
						t.Error("it returned nil")
					}
				}
				// Without a breaker: rankings are no measure of what requests would meet, and a purge is worth the wait.
				if err := ask(t.Context(), s); op != "Rank" && op != "Hottest" && op != "Append" && !errors.Is(err, redisstore.ErrOpen) {
					t.Errorf("the sixth time it returned %v; want that the circuit is open", err)
				}
			})
		}
	}
}

// Only the function that sees to a pipeline's own error sends pipelines.
func TestPipelinesAreSentInOnePlace(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	places := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		n := bytes.Count(text, []byte(".Exec(")) + bytes.Count(text, []byte("ipelined("))
		if places += n; n > 0 && file != "roundtrip.go" {
			t.Errorf("%s sends a pipeline by itself; use exec, which gives the commands the error that only the pipeline has", file)
		}
	}
	if places != 1 {
		t.Errorf("pipelines are sent in %d places; want one", places)
	}
}

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
	client := dial(t, redistest.NewProcess(t).Addr())
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
	"SetAndRelease": func(ctx context.Context, s *redisstore.Store) error {
		return s.SetAndRelease(ctx, storetest.Key("k"), store.Token{1}, stamped(s, "k"), time.Minute)
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
	addr := redistest.NewProcess(t).Addr()
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
		eventually(t, "the circuit closes", func() bool {
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
			s.OnCircuit(func(_ string, err error) { told.Store(fmt.Sprint(err), true) })
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
