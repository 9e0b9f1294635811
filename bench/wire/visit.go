package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A visit is one contestant's turn in a round: its processes, which end with it.
type visit struct {
	context.Context
	crew
	plan    plan
	setup   setup
	contest contest
	one     contestant
	round   int

	addr    string    // of the server
	control string    // where the server tells of itself
	redis   *database // nil: there is none
}

// visit starts what the contestant needs, verifies it and measures it.
func (p plan) visit(ctx context.Context, s setup, c contest, one contestant, round int) (sample, error) {
	// A server that hangs is an error of one visit, not the end of the run.
	ctx, cancel := context.WithTimeout(ctx, time.Minute+2*time.Duration(p.seconds)*time.Second)
	defer cancel()
	v := &visit{Context: ctx, plan: p, setup: s, contest: c, one: one, round: round}
	defer v.end()
	defer context.AfterFunc(ctx, v.end)() // whoever waits for a process sees its end
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
		args = append(args, "-redis", v.redis.url())
	}
	cmd, err := self(append(args, v.name(), "127.0.0.1:0")...)
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if _, err := cmd.StdinPipe(); err != nil { // it ends when we do
		return err
	}
	if _, err := v.crew.start(cmd, v.setup.server); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the server did not start: %w", err)
	}
	serves, tells, _ := strings.Cut(strings.TrimSpace(line), " ")
	v.addr, v.control = serves, "http://"+tells
	return nil
}

func (v *visit) url(page int) string { return "http://" + v.addr + path + "?" + query(page) }

// stats asks the server of itself.
func (v *visit) stats() (stats, error) {
	var s stats
	resp, err := v.get(v.control + "/stats")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// reset has the server begin anew what it measures of itself.
func (v *visit) reset() error {
	resp, err := v.get(v.control + "/reset")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// get asks as the load does.
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

// profiled has the server profiled while f runs, if that is wanted. The profile is not of what comes before and after.
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
