package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A stage is where cases are played: an origin, and the way to the cache in front of it.
type stage struct {
	origin *origin
	base   string // the cache's URL
	via    http.RoundTripper
}

// A play is one case being played.
type play struct {
	*stage
	id      string
	steps   []*step
	token   string // in the case's URL, and the body of its answers
	added   bool   // request_headers come on top of the fields that every request has, not instead of them
	answers []*answer
}

// An answer is what the client gets for a step.
type answer struct {
	err     error // instead of all else
	status  int
	header  http.Header
	body    string
	interim []early
}

type early struct {
	status int
	header http.Header
}

// play plays the case and says what is wrong, if anything is. The suite's own client has sent a case's request_headers
// instead of fields of its own, and, in later versions, beside them: a case must hold both ways.
func (g *stage) play(ctx context.Context, c *caseData) error {
	for _, added := range []bool{true, false} {
		p := &play{stage: g, id: c.ID, steps: c.Steps, added: added, token: newToken()}
		if err := p.run(ctx); err != nil {
			return err
		}
		if !slices.ContainsFunc(c.Steps, func(s *step) bool { return s.Request != nil }) {
			return nil
		}
	}
	return nil
}

func newToken() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (p *play) run(ctx context.Context) error {
	p.origin.expect(p.token, p.steps)
	for i, s := range p.steps {
		a := p.ask(ctx, i)
		p.answers = append(p.answers, a)
		if err := p.checkAnswer(i); err != nil {
			return err
		}
		if s.PauseAfter {
			time.Sleep(3 * time.Second)
		}
	}
	return p.checkOrigin()
}

// ask makes the request of the step and reads the answer.
func (p *play) ask(ctx context.Context, i int) *answer {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	a := new(answer)
	trace := &httptrace.ClientTrace{Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
		a.interim = append(a.interim, early{status, http.Header(header)})
		return nil
	}}
	r, err := p.request(httptrace.WithClientTrace(ctx, trace), i)
	if err != nil {
		return &answer{err: err}
	}
	response, err := p.via.RoundTrip(r)
	if err != nil {
		return &answer{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return &answer{err: err}
	}
	a.status, a.header, a.body = response.StatusCode, response.Header, string(body)
	return a
}

// request makes the step's request, with the fields that Node's fetch sends.
func (p *play) request(ctx context.Context, i int) (*http.Request, error) {
	s := p.steps[i]
	url := p.base + "/test/" + p.token
	if s.File != "" {
		url += "/" + s.File
	}
	if s.Query != "" {
		url += "?" + s.Query
	}
	r, err := http.NewRequestWithContext(ctx, s.method(), url, strings.NewReader(s.RequestBody))
	if err != nil {
		return nil, err
	}
	add := func(name, value string) { // fetch makes one line of many
		r.Header.Set(name, strings.TrimPrefix(r.Header.Get(name)+", "+strings.TrimSpace(value), ", "))
	}
	if s.Request == nil || p.added {
		add("Pragma", "foo")
		add("Cache-Control", "nothing-to-see-here")
	}
	for _, f := range s.Request {
		now := time.Now()
		if s.MagicIMS && i > 0 {
			now = serverNow(p.answers[i-1].header)
		}
		add(f.name, f.value(s, now, ""))
	}
	coding := "gzip, deflate"
	if r.Header.Get("Range") != "" { // as the fetch standard has it
		coding = "identity"
	}
	for name, value := range map[string]string{"Accept": "*/*", "Accept-Language": "*", "Accept-Encoding": coding,
		"User-Agent": "node", "Sec-Fetch-Mode": "cors"} {
		if r.Header.Get(name) == "" {
			add(name, value)
		}
	}
	add("Test-ID", p.id)
	add("Req-Num", strconv.Itoa(i+1))
	return r, nil
}

// serverNow is when the origin made the answer.
func serverNow(h http.Header) time.Time {
	ms, _ := strconv.ParseInt(h.Get("Server-Now"), 10, 64)
	return time.UnixMilli(ms)
}
