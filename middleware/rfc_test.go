package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// A rule is one statement of a standard about a cache, and what is to be seen of it. The lines of its script are:
//
//	origin 200 | Cache-Control: max-age=10 | body abc    what the handler answers from here on
//	+9s                                                  time passes
//	GET /a?b | Range: bytes=0-1 => hit 206 #1[0:2] | Age: 9
//
// The last is a request and what comes of it: a hit (no run of the handler), a run, or run2; the status, if it is not 200;
// the body, that of the first run; fields. A field is what it says, ~ a part of that, ! not a part of that, or - absent.
// "saw" before a field means the handler's request. "as bob" says who asks. In all fields @ stands for the rule's own
// path, under which its targets are, and {-10s} for the date ten seconds ago.
type rule struct {
	of     string // which section it is from, and what it says
	script string
	only   []cache.Class
	policy cache.Policy

	cookieless bool // on shared classes no request has a cookie: what they bring without a word of the answer's is not kept
}

// standardPolicy is for rules that give none: the answers' headers rule, alone.
var standardPolicy = cache.Policy{RFC9111: true, StaleIfError: -1}

// obey plays the rules on every router and for each class that they are for.
func obey(t *testing.T, rules []rule) {
	t.Helper()
	run(t, func(t *testing.T, s *site) {
		origins := make([]*origin, len(rules))
		for i, r := range rules {
			if r.policy.String() == (cache.Policy{}).String() {
				r.policy = standardPolicy
			}
			origins[i] = &origin{rule: r, s: s, at: fmt.Sprint("/r", i)}
			s.handle(origins[i].at+"/{rest...}", r.policy, origins[i].serve)
		}
		for _, o := range origins {
			if o.applies() {
				o.play()
			}
		}
	})
}

// applies reports whether the rule is for the site's class.
func (o *origin) applies() bool {
	return o.only == nil || slices.Contains(o.only, o.s.class)
}

// origin is a rule's handler.
type origin struct {
	rule
	s  *site
	at string

	mu     sync.Mutex
	now    string // the origin line that counts
	bodies []string
	saw    http.Header
}

func (o *origin) serve(w http.ResponseWriter, r *http.Request) error {
	o.mu.Lock()
	answer := strings.Split(o.now, " | ")
	body := fmt.Sprintf("run %d: %s %s", len(o.bodies)+1, r.Method, r.URL.RequestURI())
	o.saw = r.Header.Clone()
	for _, field := range answer[1:] {
		if text, ok := strings.CutPrefix(field, "body "); ok {
			body = text
		}
	}
	o.bodies = append(o.bodies, body)
	o.mu.Unlock()
	if answer[0] == "panic" {
		panic("the handler's")
	}
	h := w.Header()
	for _, field := range answer[1:] {
		if name, ok := strings.CutPrefix(field, "nil "); ok {
			h[name] = nil
		} else if !strings.HasPrefix(field, "body ") {
			addField(h, o.fill(field))
		}
	}
	var status int
	_, _ = fmt.Sscan(answer[0], &status)
	w.WriteHeader(status)
	if status == http.StatusNoContent || status == http.StatusNotModified {
		return nil
	}
	_, err := io.WriteString(w, body)
	return err
}

var dates = regexp.MustCompile(`\{([-+][^}]*)\}`)

// fill puts in what stands for something else.
func (o *origin) fill(field string) string {
	field = strings.ReplaceAll(field, "@", o.at)
	return dates.ReplaceAllStringFunc(field, func(s string) string {
		d, err := time.ParseDuration(strings.Trim(s, "{}"))
		if err != nil {
			o.s.t.Fatalf("%s: %v", o.of, err)
		}
		return time.Now().Add(d).UTC().Format(http.TimeFormat)
	})
}

func (o *origin) play() {
	for line := range strings.Lines(o.script) {
		line = strings.TrimSpace(line)
		if answer, ok := strings.CutPrefix(line, "origin "); ok {
			o.now = answer
		} else if wait, ok := strings.CutPrefix(line, "+"); ok {
			d, err := time.ParseDuration(wait)
			if err != nil {
				o.s.t.Fatalf("%s: %v", o.of, err)
			}
			time.Sleep(d)
		} else if line != "" && !o.step(line) {
			return // what follows would be wrong too
		}
	}
}

// step sends a request and looks at what comes of it.
func (o *origin) step(line string) bool {
	request, wanted, ok := strings.Cut(line, " => ")
	if !ok {
		o.s.t.Fatalf("%s: %q is no step", o.of, line)
	}
	fields := strings.Split(request, " | ")
	method, target, _ := strings.Cut(fields[0], " ")
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	var options []option
	if o.cookieless && o.s.class != cache.PerUser {
		options = append(options, as(""))
	}
	for _, field := range fields[1:] {
		if who, ok := strings.CutPrefix(field, "as "); ok {
			options = append(options, as(who))
			continue
		}
		options = append(options, func(r *http.Request) { addField(r.Header, o.fill(field)) })
	}
	before := len(o.bodies)
	got := o.s.do(method, o.at+target, options...)
	faults := o.faults(got, len(o.bodies)-before, strings.Split(wanted, " | "))
	if len(faults) > 0 {
		o.s.t.Errorf("%s: %s: %s\n\tthe answer is %d %q %v", o.of, line, strings.Join(faults, "; "), got.status, clip(got.body), got.header)
	}
	return len(faults) == 0
}

var bodies = regexp.MustCompile(`^#(\d+)(\[(\d+):(\d+)\])?$`)

func (o *origin) faults(got reply, runs int, wanted []string) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	status := http.StatusOK
	for _, word := range strings.Fields(wanted[0]) {
		if n, ok := map[string]int{"hit": 0, "run": 1, "run2": 2}[word]; ok {
			if runs != n {
				fault("the handler ran %d times", runs)
			}
		} else if m := bodies.FindStringSubmatch(word); m != nil {
			if want := o.body(m); got.body != want {
				fault("the body is not %q", want)
			}
		} else if word == "empty" {
			if got.body != "" {
				fault("there is a body")
			}
		} else if _, err := fmt.Sscan(word, &status); err != nil {
			o.s.t.Fatalf("%s: what is %q?", o.of, word)
		}
	}
	if got.status != status {
		fault("the status is not %d", status)
	}
	for _, field := range wanted[1:] {
		if fault := o.differs(got.header, o.fill(field)); fault != "" {
			faults = append(faults, fault)
		}
	}
	return faults
}

func (o *origin) body(m []string) string {
	var run, from, to int
	_, _ = fmt.Sscan(m[1], &run)
	if run < 1 || run > len(o.bodies) {
		return "that of a run that was none"
	}
	body := o.bodies[run-1]
	if m[2] != "" {
		_, _ = fmt.Sscan(m[3]+" "+m[4], &from, &to)
		body = body[from:to]
	}
	return body
}

// differs says how a field is not as wanted, or "".
func (o *origin) differs(h http.Header, field string) string {
	field, seen := strings.CutPrefix(field, "saw ")
	if seen {
		h = o.saw
	}
	name, want, ok := strings.Cut(field, ": ")
	if !ok {
		o.s.t.Fatalf("%s: what is %q?", o.of, field)
	}
	lines, there := h[http.CanonicalHeaderKey(name)]
	got := strings.Join(lines, ", ")
	switch {
	case want == "-":
		ok = !there
	case want[0] == '~':
		ok = strings.Contains(got, want[1:])
	case want[0] == '!':
		ok = !strings.Contains(got, want[1:])
	default:
		ok = got == want
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("%s is %q (seen by the handler: %t)", name, lines, seen)
}

// addField adds a field, "Name: value".
func addField(h http.Header, field string) {
	name, value, _ := strings.Cut(field, ":")
	h.Add(name, strings.TrimPrefix(value, " "))
}
