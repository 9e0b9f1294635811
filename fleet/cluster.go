package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clusters moves slots of a cluster, swaps a primary with its replica, and kills a primary. All three changes hit the primary
// that has the purge log.
func clusters(s *stage) ([]figure, error) {
	c, err := s.cluster()
	if err != nil {
		return nil, err
	}
	nodes, err := s.apps(4, c.url(), "-ttl", failoverTTL.String())
	if err != nil {
		return nil, err
	}
	slot, err := c.servers[0].admin.ClusterKeySlot(s, "larder:1:log").Result()
	if err != nil {
		return nil, err
	}
	f := failover{stage: s, nodes: nodes}
	if err := f.ready(); err != nil {
		return nil, err
	}
	still := or(s, 10*time.Second, time.Second)
	var figures []figure
	before := f.agree(still, nothing)
	for _, change := range []struct {
		what  string
		lasts time.Duration
		do    func() error
	}{
		{"agreement on a cluster (3 + 3), slots moved, the purge log's among them", or(s, 30*time.Second, 4*time.Second), func() error { return c.reshard(int(slot)) }},
		{"the same, the log's primary and its replica swapped", or(s, 15*time.Second, 4*time.Second), func() error { return c.swap(int(slot)) }},
		{"the same, the log's primary killed", or(s, 30*time.Second, 8*time.Second), func() error { return c.killPrimary(int(slot)) }},
	} {
		across := f.agree(change.lasts, change.do)
		after := f.agree(still, nothing)
		figures = append(figures, f.figure(change.what, before, across, after))
		before = after
	}
	return figures, f.err
}

// reshard moves two hundred slots (a thousand in a long run), this one among them, to another primary, with their keys.
func (c *cluster) reshard(slot int) error {
	from, to, err := c.primary(slot)
	if err != nil {
		return err
	}
	moving := []int{slot}
	for s := from.slots[0][0]; len(moving) < or(c.stage, 1000, 200) && s <= from.slots[0][1]; s++ {
		if s != slot {
			moving = append(moving, s)
		}
	}
	for _, slot := range moving {
		if err := c.move(slot, from, to); err != nil {
			return fmt.Errorf("moving slot %d: %w", slot, err)
		}
	}
	return nil
}

func (c *cluster) move(slot int, from, to member) error {
	if err := to.do("CLUSTER", "SETSLOT", slot, "IMPORTING", from.id); err != nil {
		return err
	}
	if err := from.do("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id); err != nil {
		return err
	}
	for {
		keys, err := from.admin.ClusterGetKeysInSlot(c, slot, 100).Result()
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		migrate := []any{"MIGRATE", "127.0.0.1", to.Port(), "", 0, 5000, "KEYS"}
		for _, k := range keys {
			migrate = append(migrate, k)
		}
		if err := from.do(migrate...); err != nil {
			return err
		}
	}
	for _, m := range []member{to, from} {
		if err := m.do("CLUSTER", "SETSLOT", slot, "NODE", to.id); err != nil {
			return err
		}
	}
	return nil
}

// swap promotes a replica of the slot's primary, without loss of data.
func (c *cluster) swap(slot int) error {
	has, _, err := c.primary(slot)
	if err != nil {
		return err
	}
	members, err := c.members()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(members, func(m member) bool { return m.of == has.server })
	if i < 0 {
		return fmt.Errorf("the primary of slot %d has no replica", slot)
	}
	if err := members[i].do("CLUSTER", "FAILOVER"); err != nil {
		return err
	}
	return c.until("the replica is primary", 10*time.Second, func() bool {
		now, _, err := c.primary(slot)
		return err == nil && now.server == members[i].server
	})
}

func (c *cluster) killPrimary(slot int) error {
	has, _, err := c.primary(slot)
	if err != nil {
		return err
	}
	has.Kill()
	begun := time.Now()
	err = c.until("a replica takes over", 20*time.Second, func() bool {
		now, _, err := c.primary(slot)
		return err == nil && now.server != has.server
	})
	c.logf("cluster: a replica took over after %v", time.Since(begun))
	return err
}

// cluster is three primaries and three replicas.
type cluster struct {
	*stage
	servers []*server
}

func (s *stage) cluster() (*cluster, error) {
	c := &cluster{stage: s}
	args := []string{"--cluster", "create"}
	for range 6 {
		r, err := s.redis("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0")
		if err != nil {
			return nil, err
		}
		c.servers = append(c.servers, r)
		args = append(args, r.Addr())
	}
	ctx, cancel := context.WithTimeout(s, 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "redis-cli", append(args, "--cluster-replicas", "1", "--cluster-yes")...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("redis-cli --cluster create: %w: %s", err, out)
	}
	return c, s.until("the cluster is there", 20*time.Second, c.complete)
}

// complete reports whether every member thinks that the cluster is complete, and every replica has a primary and its link is up.
func (c *cluster) complete() bool {
	for _, r := range c.servers {
		info, err := r.admin.ClusterInfo(c).Result()
		if err != nil || !strings.Contains(info, "cluster_state:ok") {
			return false
		}
		if info, err = r.admin.Info(c, "replication").Result(); err != nil || strings.Contains(info, "master_link_status:down") {
			return false
		}
	}
	members, err := c.members()
	return err == nil && !slices.ContainsFunc(members, func(m member) bool { return !m.primary && m.of == nil })
}

func (c *cluster) url() string {
	url := "redis+cluster://" + c.servers[0].Addr()
	for i, r := range c.servers[1:] {
		url += map[bool]string{true: "?", false: "&"}[i == 0] + "addr=" + r.Addr()
	}
	return url
}

// A member is a server as the cluster sees it.
type member struct {
	*server
	id      string
	primary bool
	of      *server // a replica's primary
	slots   [][2]int
}

func (m member) has(slot int) bool {
	return m.primary && slices.ContainsFunc(m.slots, func(r [2]int) bool { return r[0] <= slot && slot <= r[1] })
}

// members asks the first server that still runs. It leaves out servers that are gone.
func (c *cluster) members() ([]member, error) {
	for _, r := range c.servers {
		select {
		case <-r.Gone():
			continue
		default:
		}
		text, err := r.admin.ClusterNodes(c).Result()
		if err != nil {
			return nil, err
		}
		return c.parse(text)
	}
	return nil, fmt.Errorf("nobody is left of the cluster")
}

// parse reads the reply of CLUSTER NODES. Its fields are: id, address, flags, primary, three numbers, link state, slots.
func (c *cluster) parse(text string) ([]member, error) {
	byID, ofID := map[string]*server{}, map[string]string{}
	var members []member
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 {
			return nil, fmt.Errorf("CLUSTER NODES says %q", line)
		}
		addr, _, _ := strings.Cut(f[1], "@")
		i := slices.IndexFunc(c.servers, func(r *server) bool { return r.Addr() == addr })
		if i < 0 || strings.Contains(f[2], "fail") {
			continue
		}
		m := member{server: c.servers[i], id: f[0], primary: strings.Contains(f[2], "master")}
		for _, slots := range f[8:] {
			from, to, two := strings.Cut(slots, "-")
			if a, err := strconv.Atoi(from); err == nil {
				b, err := strconv.Atoi(to)
				if !two || err != nil {
					b = a
				}
				m.slots = append(m.slots, [2]int{a, b})
			}
		}
		byID[m.id], ofID[m.id] = m.server, f[3]
		members = append(members, m)
	}
	for i, m := range members {
		members[i].of = byID[ofID[m.id]]
	}
	return members, nil
}

// primary returns the primary that has the slot, and another one.
func (c *cluster) primary(slot int) (has, other member, err error) {
	members, err := c.members()
	if err != nil {
		return has, other, err
	}
	for _, m := range members {
		switch {
		case m.has(slot):
			has = m
		case m.primary && len(m.slots) > 0:
			other = m
		}
	}
	if has.server == nil || other.server == nil {
		return has, other, fmt.Errorf("nobody has slot %d", slot)
	}
	return has, other, nil
}
