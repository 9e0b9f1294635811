package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// A site is the proxy in front of one handler.
type site struct {
	t    *testing.T
	via  http.RoundTripper
	stop func() // the origin, for good
}

// behind plays a test in a bubble, on the proxy in front of the handler.
func behind(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, s *site)) {
	synctest.Test(t, func(t *testing.T) {
		back := newPipe()
		origin := &http.Server{Handler: handler}
		go origin.Serve(back)
		t.Cleanup(func() { origin.Close() })
		test(t, &site{t, front(t, back), func() { origin.Close() }})
	})
}

// A reply is an answer that was read to its end.
type reply struct {
	*http.Response
	body string
	err  error // of reading it
}

func (s *site) ask(r *http.Request) reply {
	s.t.Helper()
	response, err := s.via.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response, string(body), err}
}

func (s *site) get(path string, header ...string) reply {
	s.t.Helper()
	return s.ask(s.request(s.t.Context(), "GET", path, header...))
}

func (s *site) request(ctx context.Context, method, path string, header ...string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, "http://proxy.test"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// hit says of an answer whether the origin was spared.
func (r reply) hit() bool { return strings.Contains(r.Header.Get("Cache-Status"), "; hit") }
