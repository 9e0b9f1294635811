package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// checkAnswer checks what the client got for the step.
func (p *play) checkAnswer(i int) error {
	s, a, number := p.steps[i], p.answers[i], i+1
	if a.err != nil {
		if string(s.WantStatus) == "null" {
			return nil
		}
		return &fault{false, fmt.Sprintf("request %d: %v", number, a.err)}
	}
	for _, check := range []func(*step, *answer, int) error{
		checkRepeats, checkType, checkStatus, checkHeader, checkMissing, checkInterim, p.checkBody,
	} {
		if err := check(s, a, number); err != nil {
			return err
		}
	}
	return nil
}

// checkRepeats finds requests that the cache has sent twice.
func checkRepeats(s *step, a *answer, number int) error {
	seen := strings.Fields(a.header.Get("Request-Numbers"))
	slices.Sort(seen)
	if len(slices.Compact(slices.Clone(seen))) != len(seen) {
		return s.fault("", "answer %d: the origin saw requests %v", number, seen)
	}
	return nil
}

func checkType(s *step, a *answer, number int) error {
	count, err := strconv.Atoi(a.header.Get("Server-Request-Count"))
	switch {
	case s.Type == "cached" && a.status == http.StatusNotModified && err != nil:
	case s.Type == "cached" && (err != nil || count >= number):
		return s.fault("expected_type", "answer %d is not from the cache (status %d)", number, a.status)
	case s.Type == "not_cached" && (err != nil || count != number):
		return s.fault("expected_type", "answer %d is from the cache (status %d)", number, a.status)
	}
	return nil
}

func checkStatus(s *step, a *answer, number int) error {
	want, expectation := http.StatusOK, ""
	switch {
	case string(s.WantStatus) == "null":
		return nil
	case s.WantStatus != nil:
		expectation = "expected_status"
		if err := json.Unmarshal(s.WantStatus, &want); err != nil {
			return err
		}
	case s.Status != nil:
		want, _ = s.status()
	case a.status == 999:
		return s.fault("expected_type", "request %d was not conditional", number)
	}
	if a.status != want {
		return s.fault(expectation, "answer %d has status %d, not %d", number, a.status, want)
	}
	return nil
}

// line is all of a field's lines in one, as fetch has it.
func line(h http.Header, name string) (value string, there bool) {
	values := h.Values(name)
	return strings.Join(values, ", "), len(values) > 0
}

func checkHeader(s *step, a *answer, number int) error {
	for _, f := range s.WantHeader {
		got, there := line(a.header, f.name)
		want, holds := "to be there", there
		switch {
		case len(f.rest) == 1:
			want = f.value(s, serverNow(a.header), a.header.Get("Server-Base-Url"))
			holds = there && got == want
		case len(f.rest) == 2 && f.rest[0] == "=":
			want = a.header.Get(fmt.Sprint(f.rest[1]))
			holds = there && got == want
		case len(f.rest) == 2 && f.rest[0] == ">":
			bound, _ := f.rest[1].(float64)
			n, err := strconv.Atoi(got)
			want, holds = fmt.Sprintf("more than %v", bound), err == nil && float64(n) > bound
		}
		if !holds {
			return s.fault("expected_response_headers", "answer %d has %s %q, want %q", number, f.name, got, want)
		}
	}
	return nil
}

func checkMissing(s *step, a *answer, number int) error {
	for _, f := range s.WantMissing {
		got, there := line(a.header, f.name)
		if there && (len(f.rest) == 0 || strings.Contains(got, f.value(s, serverNow(a.header), ""))) {
			return s.fault("expected_response_headers_missing", "answer %d has %s %q", number, f.name, got)
		}
	}
	return nil
}

func checkInterim(s *step, a *answer, number int) error {
	if s.WantInterim == nil {
		return nil
	}
	if len(a.interim) != len(s.WantInterim) {
		return s.fault("expected_interim_responses", "answer %d came after %d interim ones, not %d", number, len(a.interim), len(s.WantInterim))
	}
	for i, want := range s.WantInterim {
		got := a.interim[i]
		if got.status != want.status {
			return s.fault("expected_interim_responses", "interim answer %d has status %d, not %d", i+1, got.status, want.status)
		}
		for _, f := range want.header {
			if value, _ := line(got.header, f.name); value != f.value(s, serverNow(a.header), "") {
				return s.fault("expected_interim_responses", "interim answer %d has %s %q", i+1, f.name, value)
			}
		}
	}
	return nil
}

func (p *play) checkBody(s *step, a *answer, number int) error {
	want, expectation := p.token, ""
	switch {
	case s.CheckBody != nil && !*s.CheckBody, string(s.WantText) == "null":
		return nil
	case s.WantText != nil:
		expectation = "expected_response_text"
		if err := json.Unmarshal(s.WantText, &want); err != nil {
			return err
		}
	case s.Body != nil:
		want = *s.Body
	case a.status == http.StatusNoContent, a.status == http.StatusNotModified, s.Method == http.MethodHead:
		return nil
	}
	if a.body != want {
		return s.fault(expectation, "answer %d has body %q, not %q", number, a.body, want)
	}
	return nil
}
