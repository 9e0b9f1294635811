package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"regexp"
	"slices"
)

// A plan is what is measured, how often and for how long.
type plan struct {
	rounds   int
	seconds  int
	only     *regexp.Regexp
	profiles string // directory; "": none
}

// play plays all rounds. A contestant that fails is reported and does not end the others' run.
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

// choose returns the contests with what -only leaves of them.
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

// order is the contestants in the order of a round: each begins with another one.
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
