package main

import (
	"strings"
	"time"
)

// checkOrigin checks what the origin saw: the steps that are not to be answered from the cache, in their order.
func (p *play) checkOrigin() error {
	visits := p.origin.visits(p.token)
	for i, s := range p.steps {
		if s.Type == "cached" {
			continue
		}
		v := &visit{}
		if len(visits) > 0 {
			v, visits = visits[0], visits[1:]
		}
		for _, check := range []func(*step, *visit, int) error{checkVisit, checkAsked, checkNotAsked} {
			if err := check(s, v, i+1); err != nil {
				return err
			}
		}
		if err := p.checkPassedOn(s, v, i); err != nil {
			return err
		}
	}
	return nil
}

func checkVisit(s *step, v *visit, number int) error {
	condition := map[string]string{"etag_validated": "If-None-Match", "lm_validated": "If-Modified-Since"}[s.Type]
	switch {
	case s.Type == "not_cached" && v.number != number:
		return s.fault("expected_type", "the origin saw request %d instead of %d", v.number, number)
	case condition != "" && v.header.Get(condition) == "":
		return s.fault("expected_type", "request %d came to the origin without %s", number, condition)
	case s.WantMethod != "" && v.method != s.WantMethod:
		return s.fault("expected_method", "request %d came to the origin as %q, not %s", number, v.method, s.WantMethod)
	}
	return nil
}

func checkAsked(s *step, v *visit, number int) error {
	for _, f := range s.WantRequest {
		got, there := line(v.header, f.name)
		if !there || len(f.rest) > 0 && got != f.value(s, time.Now(), "") {
			return s.fault("expected_request_headers", "request %d came to the origin with %s %q", number, f.name, got)
		}
	}
	return nil
}

func checkNotAsked(s *step, v *visit, number int) error {
	for _, f := range s.WantNotAsked {
		got, there := line(v.header, f.name)
		if there && (len(f.rest) == 0 || got == f.value(s, time.Now(), "")) {
			return s.fault("expected_request_headers_missing", "request %d came to the origin with %s %q", number, f.name, got)
		}
	}
	return nil
}

// checkPassedOn checks that the client got the fields that the origin sent.
func (p *play) checkPassedOn(s *step, v *visit, i int) error {
	if p.answers[i].err != nil {
		return nil
	}
	for name, values := range v.sent {
		got, _ := line(p.answers[i].header, name)
		if want := strings.Join(values, ", "); got != want && !strings.EqualFold(name, "Date") {
			return s.fault("", "answer %d has %s %q, not %q", i+1, name, got, want)
		}
	}
	return nil
}
