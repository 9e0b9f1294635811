package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

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
