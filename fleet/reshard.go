package main

import (
	"fmt"
	"slices"
	"time"
)

// clusters moves slots of a cluster, swaps a primary and its replica, and kills a primary: the one that has the purge log.
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

// reshard moves the slot and two hundred others to another primary, with what is in them.
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
		migrate := []any{"MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS"}
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

// swap makes a replica of the slot's primary the primary, without loss.
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
	has.kill()
	begun := time.Now()
	err = c.until("a replica takes over", 20*time.Second, func() bool {
		now, _, err := c.primary(slot)
		return err == nil && now.server != has.server
	})
	c.logf("cluster: a replica took over after %v", time.Since(begun))
	return err
}
