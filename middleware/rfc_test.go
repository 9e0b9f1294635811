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
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
)

// A rule is one statement of a standard about caches, and a script that checks it. The lines of the script are:
//
//	origin 200 | Cache-Control: max-age=10 | body abc    the handler's response from here on
//	+9s                                                  time passes
//	GET /a?b | Range: bytes=0-1 => hit 206 #1[0:2] | Age: 9
//
// The last is a request and its result: a hit (no run of the handler), a run, or run2; the status, if it is not 200; the body
// (#1: that of the first run); fields. A field has the value that the script gives, ~ contains it, ! does not contain it, or -
// is absent. "saw" before a field means the handler's request. "as bob" sets the user. In all fields @ stands for the rule's
// own path, under which its targets are, and {-10s} for the date ten seconds ago.
type rule struct {
	of     string // which section it is from, and what it says
	script string
	only   []cache.Class
	policy cache.Policy

	cookieless bool // on shared classes no request has a cookie: what they bring without a word of the answer's is not kept
}

// standardPolicy is for rules without a policy: only the responses' headers count.
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

// fill replaces the placeholders in a field.
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

// step sends a request and checks its result.
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
	for word := range strings.FieldsSeq(wanted[0]) {
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

// differs says how a field differs from what the script wants, or returns "".
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

// A field that cannot be parsed never gives a response a longer life than it may have meant.
func TestStandardUnreadableFields(t *testing.T) {
	var rules []rule
	for _, field := range []string{
		"Cache-Control: max-age=-1", "Cache-Control: max-age=1.5", "Cache-Control: max-age=0x10", "Cache-Control: max-age=", "Cache-Control: max-age",
		"Cache-Control: max-age=1e9", `Cache-Control: max-age="10`, "Cache-Control: =10", "Cache-Control: max-age=10 20", "Cache-Control: max-age=10; no-store",
		"Cache-Control: \x00max-age=10", "Cache-Control: max-age=10\u00a0, public", "Cache-Control: s-maxage=x, max-age=10", "Expires: {+1h}x", "Expires: tomorrow",
		"Expires: Sat, 99 Jan 2000 00:00:00 GMT", "Expires: Sat, 01 Jan 2000 00:10:00 PST", "Expires: Sat, 01 Jan 2000 00:10:00", "Expires:", "Last-Modified: 1",
		"Cache-Control: max-age=10 | Vary: X A", "Cache-Control: max-age=10 | Vary: ü", `Cache-Control: max-age=10 | Vary: "X-A"`, "Cache-Control: max-age=10 | Age: 11",
		"Cache-Control: max-age=10 | Content-Length: 5", "Cache-Control: max-age=10 | X-A: a\rb", "Cache-Control: max-age=10 | X-A: a\x00b",
	} {
		rules = append(rules, rule{of: "RFC 9110 §5.5: " + field, script: "origin 200 | " + field + "\n GET => run\n GET => run"})
	}
	for _, field := range []string{
		"Age: -1", "Age: 1x", "Age:", "Date: never", "Date:", "Expires: never", `ETag: "`, "ETag: x", "Vary: ,", "Vary:", "Content-Range: bytes x", "Connection: ,",
		"Link: " + strings.Repeat("x", 8000), "Cache-Groups: \"", "CDN-Cache-Control: \"", "Clear-Site-Data: \"",
	} {
		rules = append(rules, rule{of: "RFC 9110 §5.5: " + field, script: "origin 200 | Cache-Control: max-age=10 | " + field + `
			GET => run #1
			GET => hit #1
			+10s
			GET => run`})
	}
	for _, field := range []string{
		"Range: bytes=", "If-None-Match: \"", "If-None-Match: x",
		"If-Modified-Since: x", "If-Range: x", "Cache-Control: \"", "Cache-Control: max-stale=99999999999999999999", "Cache-Control: min-fresh=-1",
		"If-None-Match: " + strings.Repeat(`"x", `, 5000), "X-A: " + strings.Repeat("x", 100_000), "Accept-Language: " + strings.Repeat("a, ", 5000),
	} {
		rules = append(rules, rule{of: "RFC 9110 §5.5: " + clip(field), script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | Last-Modified: {-10s}
			GET => run #1
			GET | ` + field + " => hit #1"})
	}
	obey(t, rules)
}

// FuzzStandardAnswer sends three requests for a URL with some header lines, to which a handler responds with others. Whatever they
// are, each client gets a response that the handler made for that URL, or a part of one, and nothing is stored for ever.
func FuzzStandardAnswer(f *testing.F) {
	long := strings.Repeat("x", 70_000)
	for i, answer := range []string{
		"Cache-Control: max-age=10", "Cache-Control: max-age=99999999999999999999\nAge: 99999999999999999999", "Expires: Sat, 01 Jan 9999 00:00:00 GMT\nDate: Sat, 01 Jan 0001 00:00:00 GMT",
		"Cache-Control: max-age=10, stale-while-revalidate=99999999999\nETag: \"a\"\nVary: X-A", "Cache-Control: no-store", "Cache-Control: public\nSet-Cookie: a=b", "Vary: *\nCache-Control: max-age=5",
		"Cache-Control: max-age=9\nContent-Range: bytes 0-9/10\nETag: \"a\"", "Cache-Control: max-age=0\nContent-Range: bytes 3-8/20\nETag: \"a\"", "X: " + long, "Cache-Control: " + long, "Vary: " + strings.Repeat("A,", 30_000),
		"ETag: " + long + "\nCache-Control: max-age=5", "Cache-Control: max-age=5\nContent-Length: 3", "Cache-Control: no-cache\nLast-Modified: Sat, 01 Jan 2000 00:00:00 GMT", "CDN-Cache-Control: max-age=9\nCache-Control: max-age=1",
		"Connection: close, Cache-Control\nCache-Control: max-age=5", "Date: x\nExpires: y\nAge: z", "Trailer: X", strings.Repeat("A: b\n", 300), "Cache-Groups: \"a\", \"b\"\nCache-Control: max-age=5",
	} {
		for j, request := range []string{
			"", "Range: bytes=0-4", "Range: bytes=5-\nIf-Range: \"a\"", "If-None-Match: \"a\"", "If-None-Match: " + long, "Cache-Control: no-cache", "Cache-Control: only-if-cached, max-stale",
			"Cache-Control: max-stale=5, min-fresh=3", "Range: bytes=" + strings.Repeat("0-0,", 1000), "X-A: b\nAccept-Language: " + long, "Authorization: x\nIf-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT",
		} {
			if (i+j)%3 == 0 || j == 0 {
				f.Add(answer, request, uint16([]int{200, 206, 304, 404, 503}[(i*2+j)%5]), uint8(i+j))
			}
		}
	}
	f.Fuzz(func(t *testing.T, answer, request string, status uint16, how uint8) {
		synctest.Test(t, func(t *testing.T) { hostile(t, answer, request, 200+int(status)%400, how) })
	})
}

// fieldsOf parses lines into header fields. Of a name it takes only letters and hyphens.
func fieldsOf(lines string, clean bool) http.Header {
	h := http.Header{}
	for line := range strings.Lines(lines) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		name = strings.Map(func(r rune) rune {
			if r == '-' || 'a' <= r|0x20 && r|0x20 <= 'z' {
				return r
			}
			return -1
		}, name)
		if clean { // as net/http's server has let it in
			value = strings.Map(func(r rune) rune {
				if r < ' ' && r != '\t' || r == 0x7f {
					return -1
				}
				return r
			}, value)
		}
		if name != "" {
			h.Add(name, strings.TrimSpace(value))
		}
	}
	return h
}

func hostile(t *testing.T, answer, request string, status int, how uint8) {
	s := newSite(t, routers[0], classes[how%4])
	fields, asked := fieldsOf(answer, false), fieldsOf(request, true)
	var made []string
	s.handle("GET /x", standardPolicy, func(w http.ResponseWriter, r *http.Request) error {
		for name, values := range fields {
			w.Header()[name] = slices.Clone(values)
		}
		if status == http.StatusNotModified && r.Header.Get("If-None-Match")+r.Header.Get("If-Modified-Since") == "" {
			w.WriteHeader(http.StatusOK)
		} else {
			w.WriteHeader(status)
		}
		body := fmt.Sprintf("%010d:0123456789", len(made))
		made = append(made, body)
		_, _ = w.Write([]byte(body))
		return nil
	})
	ask := func() (ran bool) {
		before := len(made)
		got := s.get("/x", func(r *http.Request) {
			for name, values := range asked {
				if name != "Cookie" && name != "Connection" && name != "Upgrade" {
					r.Header[name] = slices.Clone(values)
				}
			}
		})
		answered(t, got, made, status, fields)
		return len(made) > before
	}
	for range 3 {
		ran := ask()
		if !ran && (slices.Equal(fields["Cache-Control"], []string{"no-store"}) && fields["Cdn-Cache-Control"] == nil || fields["Set-Cookie"] != nil) && len(made) > 0 {
			t.Error("what must not be kept is")
		}
		time.Sleep(time.Duration(how) * time.Second / 16)
	}
	if s.class == cache.SharedGlobal {
		return // memory sweeps all the time: two years of that are long
	}
	time.Sleep(2 * 366 * 24 * time.Hour)
	if runs := len(made); runs > 0 && !ask() && len(s.get("/x", header("Cache-Control", "no-transform")).body) > 0 && len(made) == runs {
		t.Error("it is kept for ever")
	}
}

// answered checks that a response is one that the handler has made.
func answered(t *testing.T, got reply, made []string, status int, fields http.Header) {
	t.Helper()
	switch got.status {
	case http.StatusNotModified, http.StatusGatewayTimeout:
		if got.status != status && got.body != "" {
			t.Errorf("%d has the body %q", got.status, got.body)
		}
		return
	case http.StatusRequestedRangeNotSatisfiable:
		return
	case status, http.StatusOK:
		if fields["Content-Length"] == nil && status != http.StatusPartialContent && status != http.StatusNoContent && !slices.Contains(made, got.body) {
			t.Errorf("%d has a body that the handler has not made: %q", got.status, clip(got.body))
		}
		return
	case http.StatusPartialContent:
		if !strings.HasPrefix(got.header.Get("Content-Type"), "multipart/") && !slices.ContainsFunc(made, func(b string) bool { return strings.Contains(b, got.body) }) {
			t.Errorf("a part of what the handler has not made: %q", clip(got.body))
		}
		return
	}
	t.Errorf("the status is %d; the handler's is %d", got.status, status)
}
