package main

import "time"

// cost is what answers have taken, beside time.
type cost struct {
	runs  int64         // of the handler
	cpu   time.Duration // of the server; 0 where the system does not say
	p99   time.Duration // of the answers within the server, since the last reset; 0: they were not timed
	reads int64         // of Redis, those that found something
}

// spend returns the cost of f.
func (v *visit) spend(f func() error) (cost, error) {
	before, err := v.spent()
	if err != nil {
		return cost{}, err
	}
	if err := f(); err != nil {
		return cost{}, err
	}
	after, err := v.spent()
	return cost{after.runs - before.runs, after.cpu - before.cpu, after.p99, after.reads - before.reads}, err
}

// spent is the cost of everything up to now.
func (v *visit) spent() (cost, error) {
	s, err := v.stats()
	c := cost{runs: s.Runs, cpu: s.CPU, p99: s.P99}
	if err == nil && v.redis != nil {
		c.reads, err = v.redis.reads()
	}
	return c, err
}

// each returns the cost of one request.
func (c cost) each(v *visit, requests int64) []figure {
	var all []figure
	if c.cpu > 0 {
		all = append(all, figure{micros(c.cpu) / float64(requests), "server-µs/op"})
	}
	if c.p99 > 0 {
		all = append(all, figure{micros(c.p99), "server-p99-µs"})
	}
	if v.redis != nil {
		all = append(all, figure{float64(c.reads) / float64(requests), "reads/op"})
	}
	return all
}
