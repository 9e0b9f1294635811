package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/larder-go/cache/internal/proc"
)

// A visit measures one contestant once. It starts the processes that it needs, and ends them.
type visit struct {
	context.Context
	servers proc.Group // the measured server, on its own core
	others  proc.Group // load and Redis, on the other core
	plan    plan
	setup   setup
	contest contest
	one     contestant
	round   int
	dir     string // Redis' working directory

	addr    string      // of the server
	control string      // URL for the server's statistics
	redis   *proc.Redis // nil: the contest needs none
}

// visit starts what the contestant needs, verifies it and measures it.
func (p plan) visit(ctx context.Context, s setup, c contest, one contestant, round int) (sample, error) {
	// A server that hangs fails one visit, not the whole run.
	ctx, cancel := context.WithTimeout(ctx, time.Minute+2*time.Duration(p.seconds)*time.Second)
	defer cancel()
	dir, err := os.MkdirTemp("", "wire")
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(dir)
	v := &visit{Context: ctx, plan: p, setup: s, contest: c, one: one, round: round, dir: dir}
	v.servers.Prepare, v.others.Prepare = s.server.enter, s.load.enter
	defer v.end()
	defer context.AfterFunc(ctx, v.end)() // so that nothing waits for a process after that
	if err := v.start(); err != nil {
		return sample{}, err
	}
	if err := c.verify(v); err != nil {
		return sample{}, fmt.Errorf("not measured: %w", err)
	}
	return c.measure(v)
}

func (v *visit) name() string { return v.contest.name + "/" + v.one.name }

// start starts the server, and Redis before it.
func (v *visit) start() error {
	args := []string{"serve"}
	if v.contest.redis {
		if err := v.startRedis(); err != nil {
			return err
		}
		args = append(args, "-redis", v.redis.URL())
	}
	cmd, err := self(append(args, v.name(), "127.0.0.1:0")...)
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	_, line, err := v.servers.StartAnnounced(cmd)
	if err != nil {
		return err
	}
	serves, tells, _ := strings.Cut(line, " ")
	v.addr, v.control = serves, "http://"+tells
	return nil
}

// startRedis starts a Redis on the load's core: the measured server has its core for itself.
func (v *visit) startRedis() error {
	var err error
	v.redis, err = v.others.StartRedis(v, v.dir)
	return err
}

// reads returns how many keys of Redis have been read with success since it started.
func (v *visit) reads() (int64, error) {
	text, err := proc.Ask(v.redis.Addr(), "INFO stats")
	if err != nil {
		return 0, err
	}
	_, text, _ = strings.Cut(text, "keyspace_hits:")
	text, _, _ = strings.Cut(text, "\r\n")
	return strconv.ParseInt(text, 10, 64)
}

// end ends what the visit has started.
func (v *visit) end() {
	v.servers.End()
	v.others.End()
}

// self is the command that runs this program in another role, with GOMAXPROCS=1.
func self(args ...string) (*exec.Cmd, error) {
	cmd, err := proc.Self(args...)
	if err == nil {
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	}
	return cmd, err
}

func (v *visit) url(page int) string { return "http://" + v.addr + path + "?" + query(page) }

// stats returns the server's own statistics.
func (v *visit) stats() (stats, error) {
	var s stats
	resp, err := v.get(v.control + "/stats")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// reset has the server reset its own measurements.
func (v *visit) reset() error {
	resp, err := v.get(v.control + "/reset")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// get sends a request with the load's headers.
func (v *visit) get(url string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(v, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	for _, a := range asks {
		r.Header.Set(a[0], a[1])
	}
	return http.DefaultClient.Do(r)
}

// profiled runs f, and profiles the server meanwhile if the plan says so. The profile does not cover what comes before and
// after.
func (v *visit) profiled(f func() error) error {
	if v.plan.profiles == "" {
		return f()
	}
	written := make(chan error, 1)
	go func() { written <- v.profile() }()
	err := f()
	if failed := <-written; err == nil {
		err = failed
	}
	return err
}

func (v *visit) profile() error {
	resp, err := v.get(fmt.Sprintf("%s/profile?seconds=%d", v.control, v.plan.seconds))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s", resp.Status)
	}
	name := fmt.Sprintf("%s.%d.pprof", strings.NewReplacer("/", "-", "=", "").Replace(v.name()), v.round+1)
	f, err := os.Create(filepath.Join(v.plan.profiles, name))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// cost is what responses cost, besides the time that clients wait.
type cost struct {
	runs  int64         // of the handler
	cpu   time.Duration // of the server; 0 where the system does not report it
	p99   time.Duration // of responses within the server, since the last reset; 0: they were not timed
	reads int64         // of Redis, if they found the key
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
		c.reads, err = v.reads()
	}
	return c, err
}

// each returns the cost per request.
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
