package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/proc"
)

// sentinels kills a master that three Sentinels watch.
func sentinels(s *stage) ([]figure, error) {
	master, err := s.redis()
	if err != nil {
		return nil, err
	}
	for range 2 {
		if _, err := s.redis("--replicaof", "127.0.0.1 "+strconv.Itoa(master.Port())); err != nil {
			return nil, err
		}
	}
	url := "redis+sentinel://"
	for i := range 3 {
		addr, err := s.sentinel(master.Port())
		if err != nil {
			return nil, err
		}
		url += []string{addr + "/0?master_name=main", "&addr=" + addr, "&addr=" + addr}[i]
	}
	if err := s.pause(2 * time.Second); err != nil { // until they know the replicas and each other
		return nil, err
	}
	nodes, err := s.apps(4, url, "-ttl", failoverTTL.String())
	if err != nil {
		return nil, err
	}
	f := failover{stage: s, nodes: nodes}
	if err := f.ready(); err != nil {
		return nil, err
	}
	before := f.agree(or(s, 10*time.Second, time.Second), nothing)
	across := f.agree(or(s, 20*time.Second, 7*time.Second), func() error { master.Kill(); return nil })
	after := f.agree(or(s, 10*time.Second, time.Second), nothing)
	return []figure{f.figure("agreement behind Sentinel, the master killed", before, across, after)}, f.err
}

// sentinel starts a Sentinel that watches the master and returns its address.
func (s *stage) sentinel(master int) (string, error) {
	port, err := proc.FreePort()
	if err != nil {
		return "", err
	}
	dir, err := s.subdir()
	if err != nil {
		return "", err
	}
	config := fmt.Sprintf(`port %d
bind 127.0.0.1
dir %s
sentinel monitor main 127.0.0.1 %d 2
sentinel down-after-milliseconds main 1000
sentinel failover-timeout main 5000
`, port, dir, master)
	file := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return "", err
	}
	p, err := s.processes.Start(exec.Command("redis-server", file, "--sentinel"))
	if err != nil {
		return "", err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	return addr, p.Answers(s, addr)
}

// failoverTTL bounds how long an old response lives when a failover loses a purge. Replication is asynchronous: Redis
// acknowledges a purge before its replica has it, so the replica that takes over may lack it.
const failoverTTL = 3 * time.Second

// failover measures agreement before, during and after a change of the master.
type failover struct {
	*stage
	nodes []*node
	next  int       // round, so that none uses the keys of an earlier one
	began time.Time // when the latest change began
	err   error
}

// ready waits until every node can purge. Finding the master takes longer than a purge waits.
func (f *failover) ready() error {
	for _, n := range f.nodes {
		if err := f.until("the processes find Redis", 5*time.Second, func() bool { return n.purge(nth(hot, 0)) == nil }); err != nil {
			return err
		}
	}
	return nil
}

// agree plays rounds for the given time. The change happens after a quarter of it.
func (f *failover) agree(lasts time.Duration, change func() error) *agreement {
	a := &agreement{kinds: []kind{fleet, user}, workers: 8, slow: 4 * time.Millisecond}
	a.rounds.Store(int64(f.next))
	var done atomic.Bool
	go func() {
		_ = f.pause(lasts / 4)
		f.began = time.Now()
		if err := change(); err != nil && f.err == nil {
			f.err = err
		}
		_ = f.pause(lasts * 3 / 4)
		done.Store(true)
	}()
	a.play(f.stage, f.nodes, 1<<30, func() bool { return !done.Load() })
	a.rounds.Add(-int64(f.next))
	f.next += int(a.rounds.Load())
	if last := a.lastRefused.Load(); last != nil {
		f.logf("the last purge that Redis was not told of, %v after the latest change: %v", last.at.Sub(f.began), last.err)
	}
	return a
}

// figure requires that purges work before and after the change. During the change a response may be stale, but for one TTL at
// most: the failover may have lost its purge. Before and after it, fewer than one purge in ten may return an error.
func (f *failover) figure(what string, before, across, after *agreement) figure {
	holds := time.Duration(across.oldest.Load()) <= failoverTTL+slack
	for _, a := range []*agreement{before, after} {
		holds = holds && a.afterPurge.Load() == 0 && a.acknowledged.Load() > a.rounds.Load()*9/10
	}
	for _, a := range []*agreement{before, across, after} {
		holds = holds && a.failed.Load() == 0
	}
	afterPurge := before.afterPurge.Load() + across.afterPurge.Load() + after.afterPurge.Load()
	figure := row(
		what, fmt.Sprintf("0 stale reads after the purge returned; in the failover none beyond the TTL of %v", failoverTTL),
		fmt.Sprintf("before: %v; meanwhile: %v, oldest %s; after: %v", before, across, ms(time.Duration(across.oldest.Load())), after), holds,
	)
	return figure.timed(afterPurge == 0)
}
