package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"
)

// warmUp is how long the server gets requests, on as many connections as the load's, before it is measured.
const warmUp = 300 * time.Millisecond

// hits measures rate, latency, and the server's CPU time per response. CPU time says more than rate and latency where the
// load is the slower part, or the machine is busy.
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
			out, err = v.others.Run(v, cmd)
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

// allowed returns an error if the load met more than a few misses. A few are allowed: when the machine stalls, a cache with a
// time budget for Redis runs its handler.
func (v *visit) allowed(runs, requests int64) error {
	switch {
	case !v.one.caches || runs == 0:
		return nil
	case runs*100 > requests:
		return fmt.Errorf("the handler ran %d times for %d requests that should be hits", runs, requests)
	}
	log.Printf("%s: the handler ran %d times for %d requests", v.name(), runs, requests)
	return nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// asked is how many responses are checked before the load.
const asked = 20

// verifyHit sends requests until a cache has hits only, and then some more, which it checks. Each response must be right. The
// handler of a cache must not run. Redis must be read for every request if the contestant reads it, and else for fewer.
func verifyHit(v *visit) error {
	if err := v.settle(); err != nil {
		return err
	}
	spent, err := v.spend(func() error {
		for i := range asked {
			if err := v.right(i % v.contest.count()); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case v.one.caches && spent.runs != 0:
		return fmt.Errorf("the handler ran %d times for %d requests that should be hits", spent.runs, asked)
	case !v.one.caches && spent.runs != asked:
		return fmt.Errorf("the handler ran %d times for %d requests", spent.runs, asked)
	case v.one.reads && spent.reads < asked:
		return fmt.Errorf("%d reads of Redis for %d requests", spent.reads, asked)
	case !v.one.reads && spent.reads >= asked:
		return fmt.Errorf("%d reads of Redis for %d requests that should take none", spent.reads, asked)
	}
	return nil
}

// settle requests every page until a cache's handler runs for none. Some caches store a response only after it was sent.
func (v *visit) settle() error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		spent, err := v.spend(v.all)
		if err != nil {
			return err
		}
		if spent.runs == 0 || !v.one.caches {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the handler still runs for every page: nothing is kept")
		}
	}
}

func (v *visit) all() error {
	for page := range v.contest.count() {
		if err := v.right(page); err != nil {
			return err
		}
	}
	return nil
}

func (c contest) count() int { return max(c.pages, 1) }

// right sends one request and compares the response with the handler's.
func (v *visit) right(page int) error {
	resp, err := v.get(v.url(page))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Equal(got, body) {
		return fmt.Errorf("status %d and %d bytes, want the handler's answer: %.80q", resp.StatusCode, len(got), got)
	}
	for _, s := range says {
		if values := resp.Header.Values(s[0]); len(values) != 1 || values[0] != s[1] {
			return fmt.Errorf("%s: %q, want %q", s[0], values, s[1])
		}
	}
	return nil
}
