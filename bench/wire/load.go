package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// loadCommand runs wrk, or this program in its place, from one thread and for as long as the plan says. done removes the
// command's files.
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

// script has wrk request one target after the other. It builds all requests before the load begins.
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

// pacing has wrk wait for a random time before each request.
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

// tally is what wrk has measured.
type tally struct {
	requests int64
	rate     float64 // requests a second
	p50, p99 time.Duration
}

// parseWrk reads the output of wrk --latency. Errors that wrk reports are errors here, because a server that refuses requests
// would look fast.
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

// wrkTime reads a time such as 2.80ms. wrk uses Go's units, and its times are never negative.
func wrkTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = fmt.Errorf("a latency of %s", s)
	}
	return d, err
}

// load is the program as "load ADDRESS". It replaces wrk where that is not installed, and prints its results as wrk does.
func load(args []string) error {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	clients := flags.Int("clients", 64, "connections")
	pages := flags.Int("pages", 1, "pages that are asked for, one after the other")
	seconds := flags.Int("seconds", 2, "length of the load")
	_ = flags.Parse(args)
	begun := time.Now()
	took, err := drive(flags.Arg(0), *clients, *pages, time.Duration(*seconds)*time.Second)
	if err != nil {
		return err
	}
	lasted := time.Since(begun)
	slices.Sort(took)
	at := func(share float64) time.Duration { return took[int(share*float64(len(took)-1))] }
	fmt.Printf("    50%% %v\n    99%% %v\n  %d requests in %v\n", at(0.50), at(0.99), len(took), lasted)
	fmt.Printf("Requests/sec: %.2f\n", float64(len(took))/lasted.Seconds())
	return nil
}

// drive has each connection send its next request as soon as it has its response, for so long. It returns how long each
// response took.
func drive(addr string, clients, pages int, lasts time.Duration) ([]time.Duration, error) {
	type result struct {
		took []time.Duration
		err  error
	}
	results := make(chan result)
	end := time.Now().Add(lasts)
	for i := range clients {
		// Each client begins at another page, so that they request different pages at the same time.
		asking := requests(addr, pages, i*pages/clients)
		go func() {
			took, err := askUntil(addr, asking, end)
			results <- result{took, err}
		}()
	}
	var all []time.Duration
	var failed error
	for range clients {
		r := <-results
		all = append(all, r.took...)
		failed = errors.Join(failed, r.err)
	}
	return all, failed
}

// requests returns the requests for all pages, beginning with the page first.
func requests(addr string, pages, first int) [][]byte {
	rest := " HTTP/1.1\r\nHost: " + addr + "\r\n"
	for _, a := range asks {
		rest += a[0] + ": " + a[1] + "\r\n"
	}
	var all [][]byte
	for i := range pages {
		all = append(all, []byte("GET "+path+"?"+query((first+i)%pages)+rest+"\r\n"))
	}
	return all
}

// askUntil sends requests on one connection until the given time, but at least one.
func askUntil(addr string, asking [][]byte, end time.Time) ([]time.Duration, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(end.Add(5 * time.Second))
	answers := bufio.NewReader(conn)
	var took []time.Duration
	for now := time.Now(); len(took) == 0 || now.Before(end); {
		if _, err := conn.Write(asking[len(took)%len(asking)]); err != nil {
			return nil, err
		}
		if err := skipAnswer(answers); err != nil {
			return nil, err
		}
		answered := time.Now()
		took = append(took, answered.Sub(now))
		now = answered
	}
	return took, nil
}

// skipAnswer reads a response, which must have status 200 and a Content-Length: every contestant's hit has them.
func skipAnswer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered %q", line)
	}
	length := -1
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without Content-Length")
	}
	_, err = r.Discard(length)
	return err
}
