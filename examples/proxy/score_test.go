package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A fault is a check that does not hold.
type fault struct {
	setup bool // a failure of the case's preparation, not of what it is about
	text  string
}

func (f *fault) Error() string { return f.text }

// fault is one of the named expectation; without a name, of what every case takes for granted.
func (s *step) fault(expectation, format string, args ...any) error {
	setup := expectation == "" || s.Setup || slices.Contains(s.SetupTests, expectation)
	return &fault{setup, fmt.Sprintf(format, args...)}
}

// A score is how cases were played.
type score struct {
	mu     sync.Mutex
	cases  []*caseData
	byID   map[string]*caseData
	played map[string]error // nil: all checks hold
}

func newScore(cases []*caseData) *score {
	s := &score{cases: cases, byID: map[string]*caseData{}, played: map[string]error{}}
	for _, c := range cases {
		s.byID[c.ID] = c
	}
	return s
}

func (s *score) note(c *caseData, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.played[c.ID] = err
}

// reason says why the case does not pass; "" if it does. A case passes if those that it builds on pass too, as far as
// they were played.
func (s *score) reason(c *caseData) string {
	for _, id := range c.DependsOn {
		if on := s.byID[id]; on != nil && s.reason(on) != "" {
			return "dependency fail: " + id
		}
	}
	err, f := s.played[c.ID], (*fault)(nil)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f) && f.setup:
		return "setup fail: " + err.Error()
	}
	return "fail: " + err.Error()
}

// kind is the row of the table in which the case counts. What RFC 9213 adds for CDNs has a row of its own.
func (c *caseData) kind() string {
	if c.CDN && c.Kind != "check" {
		return "cdn"
	}
	return c.Kind
}

// report prints the table, and fails the test for cases that fail and are not known to, and for those that are and pass.
func (s *score) report(t *testing.T, known map[string]string) {
	passed, total := map[string]int{}, map[string]int{}
	var list strings.Builder
	for _, c := range s.cases {
		if _, ok := s.played[c.ID]; !ok {
			continue
		}
		total[c.kind()]++
		reason := s.reason(c)
		why, isKnown := known[c.ID]
		switch {
		case reason == "":
			passed[c.kind()]++
			if isKnown {
				t.Errorf("%s passes and is known not to (%s): take it out of the table", c.ID, why)
			}
			continue
		case c.Kind != "check" && !isKnown:
			t.Errorf("%s (%s): %s", c.ID, c.kind(), reason)
		}
		if isKnown {
			reason += "; known: " + why
		}
		fmt.Fprintf(&list, "  %-9s %s: %s\n", c.kind(), c.ID, reason)
	}
	var table strings.Builder
	for _, kind := range []string{"required", "optimal", "check", "cdn"} {
		fmt.Fprintf(&table, "  %-9s %3d of %d\n", kind, passed[kind], total[kind])
	}
	t.Logf("HTTP caching cases that pass\n%sand those that do not\n%s", &table, &list)
}
