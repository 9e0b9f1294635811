package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// loadCommand is wrk, or ourselves in its place, asking for as long as the plan says from one thread. done removes what the
// command has needed.
func (v *visit) loadCommand() (cmd *exec.Cmd, done func(), err error) {
	clients, lasts, pages := fmt.Sprint(v.contest.clients), fmt.Sprint(v.plan.seconds), v.contest.count()
	done = func() {}
	if v.setup.wrk == "" {
		cmd, err = self("load", "-clients", clients, "-pages", fmt.Sprint(pages), "-seconds", lasts, v.addr)
		return cmd, done, err
	}
	args := []string{"-t1", "-c" + clients, "-d" + lasts + "s", "--latency"}
	for _, a := range asks {
		args = append(args, "-H", a[0]+": "+a[1])
	}
	if pages > 1 {
		name, err := writeScript(pages, v.contest.pause)
		if err != nil {
			return nil, nil, err
		}
		args, done = append(args, "-s", name), func() { _ = os.Remove(name) }
	}
	return exec.Command(v.setup.wrk, append(args, v.url(0))...), done, nil
}

// script has wrk ask for one target after the other. What it sends is made before it begins.
const script = `local requests, last = {}, 0
init = function()
	for i, target in ipairs({%s}) do
		requests[i] = wrk.format("GET", target)
	end
end
request = function()
	last = last %% #requests + 1
	return requests[last]
end
`

// pacing has wrk wait a while, at random, before each request.
const pacing = `delay = function() return math.random(0, %d) end
`

// writeScript writes the script to a file, whose name it returns.
func writeScript(pages, pause int) (string, error) {
	f, err := os.CreateTemp("", "wire*.lua")
	if err != nil {
		return "", err
	}
	var targets strings.Builder
	for page := range pages {
		fmt.Fprintf(&targets, "%q,", path+"?"+query(page))
	}
	_, err = fmt.Fprintf(f, script, targets.String())
	if pause > 0 && err == nil {
		_, err = fmt.Fprintf(f, pacing, pause)
	}
	return f.Name(), errors.Join(err, f.Close())
}

// tally is what wrk has counted.
type tally struct {
	requests int64
	rate     float64 // requests a second
	p50, p99 time.Duration
}

// parseWrk reads what wrk --latency prints. Errors that wrk has met are errors here: a server that refuses is fast.
func parseWrk(out string) (tally, error) {
	var t tally
	var err error
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "50%":
			t.p50, err = wrkTime(f[1])
		case len(f) == 2 && f[0] == "99%":
			t.p99, err = wrkTime(f[1])
		case len(f) == 2 && f[0] == "Requests/sec:":
			t.rate, err = strconv.ParseFloat(f[1], 64)
		case len(f) > 3 && f[1] == "requests" && f[2] == "in":
			t.requests, err = strconv.ParseInt(f[0], 10, 64)
		case strings.Contains(line, "Socket errors:"), strings.Contains(line, "Non-2xx"):
			err = fmt.Errorf("%s", strings.TrimSpace(line))
		}
		if err != nil {
			return tally{}, fmt.Errorf("wrk: %w", err)
		}
	}
	if t.requests < 1 || t.p50 <= 0 || t.p99 < t.p50 || !(t.rate > 0) || math.IsInf(t.rate, 0) {
		return tally{}, fmt.Errorf("wrk: %d requests, %v a second, p50 %v, p99 %v in %q", t.requests, t.rate, t.p50, t.p99, out)
	}
	return t, nil
}

// wrkTime reads a time such as 2.80ms. wrk's units are Go's, and no time of it is negative.
func wrkTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = fmt.Errorf("a latency of %s", s)
	}
	return d, err
}
