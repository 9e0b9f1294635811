package main

import (
	"bytes"
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// play measures once, for a second each, and returns the lines of contestants.
func play(t *testing.T, p plan, only string) []string {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	p.rounds, p.seconds, p.only = 1, 1, regexp.MustCompile(only)
	var out bytes.Buffer
	if err := p.play(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "Benchmark") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func needs(t *testing.T, command string) {
	t.Helper()
	if _, err := exec.LookPath(command); err != nil {
		t.Skip(command, " is not on the PATH")
	}
}

const hitLine = `\t\d+\t[\d.]+ req/s\t[\d.]+ p50-µs\t[\d.]+ p99-µs(\t[\d.]+ server-µs/op)?`

// matches compares lines with patterns, one for one.
func matches(t *testing.T, lines []string, patterns ...string) {
	t.Helper()
	if len(lines) != len(patterns) {
		t.Fatalf("got %d lines, want %d:\n%s", len(lines), len(patterns), strings.Join(lines, "\n"))
	}
	for i, p := range patterns {
		if !regexp.MustCompile("^" + p + "$").MatchString(lines[i]) {
			t.Errorf("got %q, want a match of %s", lines[i], p)
		}
	}
}

func TestHitsAreMeasuredUnderWrk(t *testing.T) {
	needs(t, "wrk")
	profiles := t.TempDir()
	lines := play(t, plan{profiles: profiles}, "^Loopback/(bare|larder)$")
	matches(t, lines, "BenchmarkLoopback/bare"+hitLine, "BenchmarkLoopback/larder"+hitLine)
	if found, _ := filepath.Glob(filepath.Join(profiles, "Loopback-*.1.pprof")); len(found) != 2 {
		t.Errorf("profiles %q, want one of each server", found)
	}
}

func TestHitsAreMeasuredWithoutWrk(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	p := plan{rounds: 1, seconds: 1}
	s := setup{server: anyCore, load: anyCore}
	c := contests[0]
	c.pages = 3
	got, err := p.visit(t.Context(), s, c, c.contestants[1], 0)
	if err != nil {
		t.Fatal(err)
	}
	if got.n < 1 || len(got.figures) < 3 || got.figures[0].value <= 0 {
		t.Errorf("got %+v", got)
	}
}

func TestReadsOfRedisAreCounted(t *testing.T) {
	needs(t, "wrk")
	needs(t, "redis-server")
	lines := play(t, plan{}, "^Redis/clients=64/(pages=256/)?(plain-get|larder-near)$")
	const one, none = `\t1\.\d\d reads/op`, `\t0\.00 reads/op`
	matches(t, lines, "BenchmarkRedis/clients=64/plain-get"+hitLine+one, "BenchmarkRedis/clients=64/larder-near"+hitLine+none,
		"BenchmarkRedis/clients=64/pages=256/plain-get"+hitLine+one, "BenchmarkRedis/clients=64/pages=256/larder-near"+hitLine+none)
}

func TestPacedAnswersAreTimedWithinTheServer(t *testing.T) {
	needs(t, "wrk")
	needs(t, "redis-server")
	lines := play(t, plan{}, "paced/larder-near$")
	matches(t, lines, "BenchmarkRedis/clients=64/paced/larder-near"+hitLine+`\t[\d.]+ server-p99-µs\t0\.00 reads/op`)
}

func TestStreamsAreMeasuredWithMemory(t *testing.T) {
	lines := play(t, plan{}, "^Stream/(bare|larder)$")
	const memory = `(\t[\d.]+ peak-MiB)?`
	matches(t, lines, `BenchmarkStream/bare\t\d+\t[\d.]+ MB/s`+memory,
		`BenchmarkStream/larder\t\d+\t[\d.]+ MB/s`+memory+`(\t-?[\d.]+ extra-MiB)?`)
}

// A contestant that is not what it claims to be is not measured.
func TestWrongContestantsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	loopback := contests[0]
	bare, larder := loopback.contestants[0], loopback.contestants[1]
	bare.caches = true
	larder.caches, larder.reads = true, true
	for _, c := range []struct {
		one  contestant
		want string
	}{{bare, "nothing is kept"}, {larder, "0 reads of Redis"}} {
		_, err := plan{seconds: 1}.visit(t.Context(), setup{server: anyCore, load: anyCore}, loopback, c.one, 0)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.one.name, err, c.want)
		}
	}
}

// Nothing is left when a run is interrupted, whatever it waits for.
func TestInterruptedRunsEndTheirProcesses(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v := &visit{Context: ctx, setup: setup{server: anyCore, load: anyCore}, contest: contests[0], one: contests[0].contestants[0]}
	defer v.end()
	if err := v.start(); err != nil {
		t.Fatal(err)
	}
	cancel()
	sleep := exec.Command("sleep", "60")
	if _, err := v.others.Run(ctx, sleep); err != context.Canceled {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	v.end()
	if _, err := http.Get("http://" + v.addr); err == nil {
		t.Error("the server still answers")
	}
	if sleep.ProcessState == nil {
		t.Error("a process is still there")
	}
}

func TestEachRoundBeginsWithAnother(t *testing.T) {
	p := plan{only: regexp.MustCompile("^Stream/")}
	chosen := p.choose()
	if len(chosen) != 1 || len(chosen[0].contestants) != 4 {
		t.Fatalf("chose %+v", chosen)
	}
	for round := range 6 {
		got := chosen[0].order(round)
		if len(got) != 4 || got[0].name != chosen[0].contestants[round%4].name {
			t.Errorf("round %d begins with %s", round, got[0].name)
		}
	}
}
