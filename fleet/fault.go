package main

import "time"

// A fault is one way in which Redis fails, and how it ends.
type fault struct {
	name  string
	begin func() error
	end   func() error
}

func (r *server) faults(p *proxy) []fault {
	return []fault{
		{"killed", func() error { r.kill(); return nil }, r.start},
		{"stopped", func() error { return r.stop() }, func() error { return r.cont() }}, // r.process is another by then
		{hole.String(), func() error { p.set(hole); return nil }, func() error { p.set(pass); return nil }},
		{"read-only", func() error { return r.do("REPLICAOF", "127.0.0.1", "1") }, func() error { return r.do("REPLICAOF", "NO", "ONE") }},
		{"full", func() error { return r.do("CONFIG", "SET", "maxmemory", "1") }, func() error { return r.do("CONFIG", "SET", "maxmemory", "0") }},
	}
}

func nothing() error { return nil }

func (r *server) evict(policy, limit string) error {
	if err := r.do("CONFIG", "SET", "maxmemory-policy", policy); err != nil {
		return err
	}
	return r.do("CONFIG", "SET", "maxmemory", limit)
}

// retype makes some keys lists, whatever they were.
func (r *server) retype() error {
	for range 50 {
		name, err := r.admin.RandomKey(r.stage).Result()
		if err != nil {
			return err
		}
		if err := r.listAt(name); err != nil {
			return err
		}
	}
	return nil
}

func (r *server) listAt(name string) error {
	pipe := r.admin.TxPipeline()
	pipe.Del(r.stage, name)
	pipe.RPush(r.stage, name, "not", "ours")
	pipe.Expire(r.stage, name, time.Minute)
	_, err := pipe.Exec(r.stage)
	return err
}
