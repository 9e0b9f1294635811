package redisstore_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/storetest"
)

// peer is a Redis process that plays a part among others.
type peer struct {
	*redis.Client
	addr, port string
	kill       func()
}

// start starts a redis-server, or with "--sentinel" a Sentinel, that is killed when the test ends.
func start(t *testing.T, config string, args ...string) *peer {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not on the PATH; install Redis to run this test")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &peer{addr: l.Addr().String()}
	_, s.port, _ = net.SplitHostPort(s.addr)
	_ = l.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "redis.conf")
	config = fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\n%s\n", s.port, dir, config)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{file}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	t.Cleanup(s.kill)
	s.Client = dial(t, s.addr)
	eventually(t, "redis-server answers", func() bool {
		err := s.Ping(t.Context()).Err()
		return err == nil || strings.HasPrefix(err.Error(), "NOAUTH")
	})
	return s
}

// cluster returns two nodes, with half of the slots each.
func cluster(t *testing.T) [2]*peer {
	const config = "save \"\"\ncluster-enabled yes\ncluster-require-full-coverage no\ncluster-node-timeout 1000"
	nodes := [2]*peer{start(t, config), start(t, config)}
	for i, node := range nodes {
		if err := node.ClusterAddSlotsRange(t.Context(), i*8192, i*8192+8191).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := nodes[0].ClusterMeet(t.Context(), "127.0.0.1", nodes[1].port).Err(); err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes {
		eventually(t, "the cluster is whole", func() bool {
			info := node.ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_slots_ok:16384") && strings.Contains(info, "cluster_state:ok")
		})
	}
	return nodes
}

// On a cluster purges reach followers, and a node that is gone costs only what it had.
func TestOnACluster(t *testing.T) {
	nodes := cluster(t)
	url := fmt.Sprintf("redis+cluster://%s?addr=%s&read_timeout=250ms&dial_timeout=250ms", nodes[0].addr, nodes[1].addr)
	s, other := opened(t, url), opened(t, url)
	l := follow(t, s)
	keys := make([]keying.Key, 64)
	for i := range keys {
		keys[i] = keep(t, s, fmt.Sprint(i))
	}
	e := stamped(s, "k")
	eventually(t, "Redis takes a purge", func() bool {
		return other.Append(t.Context(), store.Record{Labels: labels("one")}) == nil
	})
	eventually(t, "the purge is known", func() bool { return s.Ledger().State(e) == store.Gone })
	l.want(t)

	log := nodes[0].ClusterKeySlot(t.Context(), logName).Val()
	nodes[1-log/8192].kill()
	var here []keying.Key
	for _, key := range keys {
		if nodes[log/8192].ClusterKeySlot(t.Context(), "larder:1:"+key.String()).Val()/8192 == log/8192 {
			here = append(here, key)
		}
	}
	for range 5 { // the living node's reads fail neither with the dead one's nor because of them
		for _, key := range here {
			if _, ok, err := s.Get(t.Context(), key); !ok || err != nil {
				t.Errorf("Get = %v, %v; want a hit", ok, err)
			}
		}
		_, _, _ = s.Get(t.Context(), storetest.Key("perhaps there"))
	}
}

// A node that is gone is asked for at once or not at all: nobody sleeps before another is tried.
func TestDeadNodeOfAClusterCostsNoSleep(t *testing.T) {
	nodes := cluster(t)
	s := opened(t, fmt.Sprintf("redis+cluster://%s?addr=%s&read_timeout=250ms&dial_timeout=250ms", nodes[0].addr, nodes[1].addr))
	log := nodes[0].ClusterKeySlot(t.Context(), logName).Val()
	var dead []keying.Key
	for i := 0; len(dead) < 60; i++ {
		key := storetest.Key(fmt.Sprint(i))
		if nodes[0].ClusterKeySlot(t.Context(), "larder:1:"+key.String()).Val()/8192 != log/8192 {
			dead = append(dead, key)
		}
	}
	for _, key := range dead {
		_, _, _ = s.Get(t.Context(), key)
	}
	nodes[1-log/8192].kill()
	began := time.Now()
	for _, key := range dead {
		if _, _, err := s.Get(t.Context(), key); err == nil {
			t.Error("a node that is gone answers")
		}
	}
	if took := time.Since(began); took > 300*time.Millisecond {
		t.Errorf("60 reads of a node that is gone took %v; they dial in vain a few times and give up", took)
	}
}

// After a failover the follower follows the new master.
func TestFollowerOutlivesFailover(t *testing.T) {
	master := start(t, `save ""`)
	replica := start(t, "save \"\"\nreplicaof 127.0.0.1 "+master.port)
	eventually(t, "the replica is in step", func() bool {
		return strings.Contains(replica.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	sentinel := start(t, fmt.Sprintf("sentinel monitor main 127.0.0.1 %s 1\nsentinel down-after-milliseconds main 500", master.port), "--sentinel")
	eventually(t, "Sentinel knows the replica", func() bool {
		return strings.Contains(sentinel.Info(t.Context(), "sentinel").Val(), "slaves=1")
	})
	url := "redis+sentinel://" + sentinel.addr + "/0?master_name=main&read_timeout=250ms&dial_timeout=250ms"
	s, other := opened(t, url), opened(t, url)
	follow(t, s)
	keep(t, s, "k")
	master.kill()
	for range 2 {
		var e *store.Entry
		eventually(t, "Redis takes a purge", func() bool {
			e = stamped(s, "k")
			return other.Append(t.Context(), store.Record{Labels: labels("one")}) == nil
		})
		eventually(t, "the purge is known", func() bool { return s.Ledger().State(e) == store.Gone })
	}
}
