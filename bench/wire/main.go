// Command wire measures hits over real sockets: with a server process for each contestant (the program itself, with "serve" as
// its first argument), wrk as the load, and a redis-server where one is needed, all on 127.0.0.1. It prints the Go benchmark
// format, one line for each contestant and round, so that benchstat can read it.
//
//	go run ./bench/wire                               10 rounds of 2 s each: twenty minutes
//	go run ./bench/wire -rounds 3 -only '^Loopback'   some contestants, for a first look
//	go run ./bench/wire -profile /tmp/profiles        a CPU profile of each server, and slower servers
//
// Each round visits every contestant once, and the order rotates from round to round, so that the machine's noise hits all of
// them alike. The server has one core (GOMAXPROCS=1), the load and Redis share another. Each visit starts a new server and a
// new Redis, checks that the response is right and a hit, and ends the processes that it has started.
//
// Besides rate and latency it measures the server's CPU time per request (server-µs/op), which a busy machine disturbs
// least, and the reads of Redis per request (reads/op): fewer than one, where requests for the same key share a read.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
)

// roles are what the program can be, besides the harness itself. They take the rest of the arguments.
var roles = map[string]func(args []string) error{"serve": serve, "load": load, "read": read}

func main() {
	log.SetFlags(0)
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		if err := roles[os.Args[1]](os.Args[2:]); err != nil {
			log.Fatal("wire ", os.Args[1], ": ", err)
		}
		return
	}
	var p plan
	flag.IntVar(&p.rounds, "rounds", 10, "visits to each contestant")
	flag.IntVar(&p.seconds, "seconds", 2, "length of the load of a visit, in seconds")
	only := flag.String("only", "", "regular expression of what to measure, such as ^Loopback/larder$")
	file := flag.String("o", "", "file that gets the lines, too")
	flag.StringVar(&p.profiles, "profile", "", "directory for a CPU profile of each visit's server")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := measure(ctx, p, *only, *file); err != nil {
		cancel()
		log.Fatal("wire: ", err)
	}
}

// measure plays the plan and writes the lines to standard output and to the file, if any.
func measure(ctx context.Context, p plan, only, file string) (err error) {
	if p.rounds < 1 || p.seconds < 1 {
		return fmt.Errorf("-rounds %d -seconds %d: both must be 1 or more", p.rounds, p.seconds)
	}
	if p.only, err = regexp.Compile(only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if p.profiles != "" {
		if err := os.MkdirAll(p.profiles, 0o777); err != nil {
			return err
		}
	}
	var w io.Writer = os.Stdout
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		defer f.Close()
		w = io.MultiWriter(w, f)
	}
	return p.play(ctx, w)
}

// A plan says what is measured, how often and for how long.
type plan struct {
	rounds   int
	seconds  int
	only     *regexp.Regexp
	profiles string // directory; "": none
}

// play plays all rounds. A contestant that fails is reported, and the others are measured nonetheless.
func (p plan) play(ctx context.Context, w io.Writer) error {
	contests := p.choose()
	if len(contests) == 0 {
		return fmt.Errorf("-only %q: nothing has such a name; names are like Loopback/larder and Redis/clients=64/larder", p.only)
	}
	setup, err := arrange(contests)
	if err != nil {
		return err
	}
	if err := setup.print(w, p); err != nil {
		return err
	}
	var failed error
	for round := range p.rounds {
		for _, c := range contests {
			samples, err := p.round(ctx, setup, c, round)
			failed = errors.Join(failed, err)
			if err := c.print(w, samples); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return errors.Join(failed, ctx.Err())
			}
		}
	}
	return failed
}

// choose returns the contests, with the contestants that -only leaves.
func (p plan) choose() []contest {
	var chosen []contest
	for _, c := range contests {
		all := c.contestants
		c.contestants = nil
		for _, one := range all {
			if p.only.MatchString(c.name + "/" + one.name) {
				c.contestants = append(c.contestants, one)
			}
		}
		if c.contestants != nil {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// order returns the contestants in the order of a round: each round begins with another one.
func (c contest) order(round int) []contestant {
	first := round % len(c.contestants)
	return slices.Concat(c.contestants[first:], c.contestants[:first])
}

// round visits every contestant once.
func (p plan) round(ctx context.Context, s setup, c contest, round int) (map[string]sample, error) {
	samples := map[string]sample{}
	var failed error
	for _, one := range c.order(round) {
		got, err := p.visit(ctx, s, c, one, round)
		if ctx.Err() != nil {
			return samples, failed
		}
		if err != nil {
			err = fmt.Errorf("%s/%s: %w", c.name, one.name, err)
			log.Printf("round %d: %v", round+1, err)
			failed = errors.Join(failed, err)
			continue
		}
		samples[one.name] = got
	}
	return samples, failed
}
