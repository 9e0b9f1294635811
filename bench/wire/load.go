package main

import (
	"fmt"
	"log"
	"time"
)

// warmUp is how long the server has the load's connections before it is measured.
const warmUp = 300 * time.Millisecond

// hits measures the rate and the latency of answers, and what one takes. The server's time for each shows what rate and
// latency hide where it is the load that is slow, or the machine has other things to do.
func hits(v *visit) (sample, error) {
	if _, err := drive(v.addr, v.contest.clients, v.contest.count(), warmUp); err != nil {
		return sample{}, fmt.Errorf("warming up: %w", err)
	}
	cmd, done, err := v.loadCommand()
	if err != nil {
		return sample{}, err
	}
	defer done()
	if err := v.reset(); err != nil {
		return sample{}, err
	}
	var out string
	spent, err := v.spend(func() error {
		return v.profiled(func() (err error) {
			out, err = v.crew.run(v, cmd, v.setup.load)
			return err
		})
	})
	if err != nil {
		return sample{}, err
	}
	t, err := parseWrk(out)
	if err != nil {
		return sample{}, err
	}
	if err := v.allowed(spent.runs, t.requests); err != nil {
		return sample{}, err
	}
	figures := []figure{{t.rate, "req/s"}, {micros(t.p50), "p50-µs"}, {micros(t.p99), "p99-µs"}}
	return sample{t.requests, append(figures, spent.each(v, t.requests)...)}, nil
}

// allowed says whether the load has met hits alone, or as good as. Where the machine stalls, a cache that waits for Redis so
// long and no longer has its handler run.
func (v *visit) allowed(runs, requests int64) error {
	switch {
	case !v.one.keeps || runs == 0:
		return nil
	case runs*100 > requests:
		return fmt.Errorf("the handler ran %d times for %d requests that should be hits", runs, requests)
	}
	log.Printf("%s: the handler ran %d times for %d requests", v.name(), runs, requests)
	return nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
