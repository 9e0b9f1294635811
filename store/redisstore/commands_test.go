package redisstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// told gathers what a store tells of what it lacks.
type told struct {
	unfit     chan error
	recovered chan struct{}
}

func listen(s *redisstore.Store) told {
	n := told{make(chan error, 16), make(chan struct{}, 16)}
	s.OnFault(func(err error) {
		if errors.Is(err, store.ErrUnfit) {
			n.unfit <- err
		}
	})
	s.OnCircuit(func(_ string, err error) {
		if err == nil {
			n.recovered <- struct{}{}
		}
	})
	return n
}

// want waits until it is told of all the pieces at once, while the store is used.
func (n told) want(t *testing.T, s *redisstore.Store, pieces ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q is told", pieces), func() bool {
		_, _, _ = s.Get(t.Context(), storetest.Key("k"))
		select {
		case err := <-n.unfit:
			t.Log(err)
			return !slices.ContainsFunc(pieces, func(piece string) bool { return !strings.Contains(err.Error(), piece) })
		default:
			return false
		}
	})
}

// without answers as Redis does, but for some commands: to those it replies with an error, or "": hangs up, as twemproxy does.
func without(t *testing.T, upstream, reply string, commands ...string) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { _ = l.Close() })
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { pass(t, conn, upstream, reply, commands) })
		}
	})
	return l.Addr().String()
}

// pass passes commands on, one after the other, and their replies back.
func pass(t *testing.T, conn net.Conn, upstream, reply string, commands []string) {
	defer conn.Close()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-t.Context().Done():
			_ = conn.Close()
		case <-stop:
		}
	}()
	client := redis.NewClient(&redis.Options{Addr: upstream, MaxRetries: -1, PoolSize: 1})
	defer client.Close()
	back, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	defer back.Close()
	go func() { _, _ = io.Copy(conn, back) }()
	in := bufio.NewReader(conn)
	for {
		raw, args, err := command(in)
		if err != nil {
			return
		}
		if slices.Contains(commands, strings.ToLower(args[0])) {
			if reply == "" {
				return
			}
			_, _ = io.WriteString(conn, "-"+reply+"\r\n")
			continue
		}
		if _, err := io.WriteString(back, raw); err != nil {
			return
		}
	}
}

// command reads one command of RESP.
func command(in *bufio.Reader) (raw string, args []string, err error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", nil, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "*")))
	if err != nil {
		return "", nil, err
	}
	raw = line
	for range n {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", nil, err
		}
		size, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "$")))
		if err != nil {
			return "", nil, err
		}
		text := make([]byte, size+2)
		if _, err := io.ReadFull(in, text); err != nil {
			return "", nil, err
		}
		raw += line + string(text)
		args = append(args, string(text[:size]))
	}
	return raw, args, nil
}

// What Redis does not know, or hangs up on, is named beside the first use, with the remedy.
func TestWhatRedisLacksIsNamed(t *testing.T) {
	twemproxy := []string{"xadd", "xrange", "xrevrange", "xread", "multi", "exec"}
	for _, test := range []struct {
		name     string
		reply    string
		commands []string
		want     []string
	}{
		{"a proxy that hangs up", "", twemproxy, []string{
			"hangs up on XREVRANGE, XRANGE, XADD, XREAD, MULTI, EXEC;", "purges reach no other process", "Redis 6.2 or newer", "no proxy",
		}},
		{"a proxy without HELLO", "", append([]string{"hello"}, twemproxy...), []string{"hangs up on each new connection at HELLO/AUTH/SELECT/CLIENT;", "TLS"}},
		{"a proxy that replies", "unsupported command 'x'", []string{"xread", "eval", "evalsha"}, []string{
			"does not know XREAD, EVALSHA, EVAL;", "each process runs the handler of a miss for itself",
		}},
		{"no streams", "ERR unknown command `XADD`, with args beginning with:", []string{"xadd", "xrange", "xrevrange", "xread"}, []string{
			"does not know XREVRANGE, XRANGE, XADD, XREAD;",
		}},
		{"an old Redis", "ERR Invalid stream ID specified as stream command argument", []string{"xadd"}, []string{"does not know XADD;"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, without(t, redistest.NewProcess(t).Addr(), test.reply, test.commands...))
			defer s.Close()
			listen(s).want(t, s, test.want...)
		})
	}
}

func TestRenamedCommandsAreNamed(t *testing.T) {
	s := open(t, start(t, "save \"\"\nrename-command XADD \"\"\nrename-command EVALSHA other").addr)
	defer s.Close()
	listen(s).want(t, s, "does not know XADD, EVALSHA;")
}

// user makes a user of ours with the rules of the docs, and others after them.
func user(t *testing.T, admin *redis.Client, more ...any) {
	t.Helper()
	args := []any{"ACL", "SETUSER", "larder", "on", ">secret", "resetkeys", "~larder:*", "resetchannels", "-@all"}
	for rule := range strings.FieldsSeq(redisstore.AccessRules()) {
		args = append(args, rule)
	}
	if err := admin.Do(t.Context(), append(args, more...)...).Err(); err != nil {
		t.Fatal(err)
	}
}

func openAs(t *testing.T, addr string) *redisstore.Store {
	o := tuned(addr)
	o.Username, o.Password = "larder", "secret"
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	return on(t, client, redisstore.Options{})
}

// What an access list refuses is named, once, with the rule; leases rest while they are refused, and come back without a restart.
func TestLeasesComeBackWhenTheyAreAllowed(t *testing.T) {
	server := redistest.NewProcess(t)
	admin := dial(t, server.Addr())
	user(t, admin)
	s := openAs(t, server.Addr())
	defer s.Close()
	n := listen(s)
	lease := func() store.LeaseState {
		var got store.Lease
		eventually(t, "Redis answers", func() bool {
			var err error
			_, got, err = s.Lease(t.Context(), storetest.Key(fmt.Sprint(time.Now().UnixNano())), store.Token{1}, time.Second)
			return err == nil
		})
		return got.State
	}
	eventually(t, "leases are taken", func() bool { return lease() == store.Taken })
	user(t, admin, "-evalsha", "-pexpire")
	eventually(t, "leases rest", func() bool {
		_ = s.Release(t.Context(), storetest.Key("k"), store.Token{1}, 0)
		return lease() == store.Unleased
	})
	s.ProbeNow()
	n.want(t, s, "refuses to this user PEXPIRE, EVALSHA;", "no time to live", "ACL SETUSER <user> ~larder:* +pexpire +evalsha")
	for range 3 {
		s.ProbeNow()
		_, _, _ = s.Get(t.Context(), storetest.Key("k"))
	}
	eventually(t, "the probe has ended, or it would see half of the change", func() bool { return !s.Probing() })
	user(t, admin)
	s.ProbeNow()
	_, _, _ = s.Get(t.Context(), storetest.Key("k")) // as before each lease
	eventually(t, "leases are taken again", func() bool { return lease() == store.Taken })
	<-n.recovered
	select {
	case err := <-n.unfit:
		t.Errorf("told once more: %v", err)
	default:
	}
}

// Where nothing is missing, or Redis is away, nothing is told.
func TestAProbeThatFindsNothingSaysNothing(t *testing.T) {
	server := redistest.NewProcess(t)
	for _, addr := range []string{server.Addr(), "127.0.0.1:1"} {
		s := open(t, addr)
		n := listen(s)
		for range 5 {
			s.ProbeNow()
			_, _, _ = s.Get(t.Context(), storetest.Key("k"))
		}
		_ = s.Close()
		if len(n.unfit) > 0 {
			t.Errorf("%s: told of %v", addr, <-n.unfit)
		}
	}
	if stats := dial(t, server.Addr()).Info(t.Context(), "keyspace").Val(); strings.Contains(stats, "keys=2") {
		t.Errorf("the probe leaves something behind: %s", stats)
	}
}

// aclLine is the one in docs/redis.md.
var aclLine = regexp.MustCompile(`(?m)^ACL SETUSER .*$`)

// The user that docs/redis.md tells how to make may do all that a Store does, and no more than that.
func TestTheUserOfTheDocsCanDoAll(t *testing.T) {
	text, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	line := aclLine.FindString(string(text))
	if want := "ACL SETUSER shop on >PASSWORD resetkeys ~shop:* resetchannels -@all " + redisstore.AccessRules(); line != want {
		t.Fatalf("docs/redis.md says\n%s\nwant\n%s", line, want)
	}
	var admin *redis.Client
	storetest.Run(t, func(t *testing.T) store.Store {
		server := redistest.NewProcess(t)
		admin = dial(t, server.Addr())
		var args []any
		for word := range strings.FieldsSeq(line) {
			args = append(args, word)
		}
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
		s, err := redisstore.Open("redis://shop:PASSWORD@"+server.Addr()+"/1?client_name=shop&read_timeout=250ms", redisstore.Options{Prefix: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		n := listen(s)
		t.Cleanup(func() {
			ctx := context.WithoutCancel(t.Context())
			if err := s.Rank(ctx, storetest.Key("k")); err != nil {
				t.Errorf("Rank: %v", err)
			}
			if _, err := s.Hottest(ctx, 1); err != nil {
				t.Errorf("Hottest: %v", err)
			}
			refused, err := admin.Do(ctx, "ACL", "LOG").Slice()
			if err != nil || len(refused) > 0 {
				t.Errorf("refused: %v, %v", refused, err)
			}
			_ = s.Close()
			if len(n.unfit) > 0 {
				t.Errorf("told of %v", <-n.unfit)
			}
		})
		follow(t, s)
		return s
	})
}

// A command that leases alone need costs writes nothing while it is refused.
func TestARefusedCommandOfLeasesSpoilsNoWrite(t *testing.T) {
	for _, refused := range []string{"-get", "-pttl", "-evalsha", "-eval"} {
		t.Run(refused, func(t *testing.T) {
			server := redistest.NewProcess(t)
			admin := dial(t, server.Addr())
			user(t, admin)
			s := openAs(t, server.Addr())
			defer s.Close()
			n := listen(s)
			key := keep(t, s, "k")
			s.ProbeNow()
			user(t, admin, refused)
			for i := range 12 {
				key, token := storetest.Key(fmt.Sprint(i)), store.Token{byte(i)}
				if _, l, _ := s.Lease(t.Context(), key, token, time.Second); l.State == store.Taken {
					_ = s.SetAndRelease(t.Context(), key, token, stamped(s, fmt.Sprint(i)), time.Minute)
				}
			}
			if err := s.Set(t.Context(), key, stamped(s, "k"), time.Minute); errors.Is(err, redisstore.ErrOpen) {
				t.Errorf("Set = %v", err)
			}
			s.ProbeNow()
			n.want(t, s, "refuses to this user "+strings.ToUpper(refused[1:])+";")
		})
	}
}

// The purge log gets its time to live as soon as that is allowed, though nothing is purged.
func TestTheLogsLifeComesBackWhenItIsAllowed(t *testing.T) {
	server := redistest.NewProcess(t)
	admin := dial(t, server.Addr())
	user(t, admin, "-pexpire")
	s := openAs(t, server.Addr())
	defer s.Close()
	n := listen(s)
	keep(t, s, "k")
	n.want(t, s, "PEXPIRE")
	user(t, admin)
	s.ProbeNow()
	eventually(t, "the log has a time to live", func() bool {
		_, _, _ = s.Get(t.Context(), storetest.Key("k"))
		return admin.TTL(t.Context(), logName).Val() > 0
	})
}

// The user of the docs finds what a cluster is moving to another node.
func TestTheUserOfTheDocsFollowsSlotsThatMove(t *testing.T) {
	nodes := cluster(t)
	for _, n := range nodes {
		user(t, n.Client)
	}
	s := opened(t, fmt.Sprintf("redis+cluster://larder:secret@%s?addr=%s&read_timeout=250ms&dial_timeout=250ms", nodes[0].addr, nodes[1].addr))
	key := keep(t, s, "k")
	name := "larder:1:" + key.String()
	ctx := t.Context()
	slot := nodes[0].ClusterKeySlot(ctx, name).Val()
	from, to := nodes[slot/8192], nodes[1-slot/8192]
	id := func(p *peer) any { return p.Do(ctx, "CLUSTER", "MYID").Val() }
	for _, err := range []error{
		to.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", id(from)).Err(),
		from.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", id(to)).Err(),
		from.Do(ctx, "MIGRATE", "127.0.0.1", to.port, name, 0, 1000).Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "what has moved is found", func() bool {
		_, ok, err := s.Get(ctx, key)
		return ok && err == nil
	})
}
