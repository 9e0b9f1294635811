package main

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
)

const standardCases = "../../../shared/http-cases.json"

var casesFlag = flag.String("cases", standardCases, "files of HTTP caching cases, separated by commas")

// known are cases that Larder does not pass, and why. They must not pass, or the table would be wrong.
var known = map[string]string{
	"headers-store-Set-Cookie":        "an answer that sets a cookie is not kept: the cookie would go to everyone",
	"other-set-cookie":                "an answer that sets a cookie is not kept: the cookie would go to everyone",
	"headers-store-Transfer-Encoding": "net/http refuses transfer codings that it does not know",
	"method-POST":                     "answers to POST are not kept: the purge that POST itself is would be hard to tell from another's",
	"vary-normalise-lang-select":      "the request asks for another selection of languages, not for an equal one",
	"conditional-lm-fresh-no-lm":      "the answer was made after the date that the client has (RFC 9110 §13.1.3)",
}

// cases loads what -cases names.
func cases(t *testing.T) []*caseData {
	t.Helper()
	list, err := load(strings.Split(*casesFlag, ",")...)
	if errors.Is(err, fs.ErrNotExist) && *casesFlag == standardCases {
		t.Skipf("the HTTP caching cases are not here (%v); name a file with -cases", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// The proxy behaves as a standard shared cache does. Each case has a proxy, an origin and a time of its own.
func TestCases(t *testing.T) {
	list := cases(t)
	s := newScore(list)
	for _, c := range list {
		t.Run(c.ID, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := newStage(t).play(t.Context(), c)
				if err != nil {
					t.Log(err)
				}
				s.note(c, err)
			})
		})
	}
	s.report(t, known)
}

// newStage sets up an origin and the proxy in front of it, in memory; everything ends with the bubble.
func newStage(t *testing.T) *stage {
	time.Sleep(time.Until(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))) // cases have dates that are to be past
	o, back := newOrigin(), newPipe()
	o.group.Go(func() { o.serve(back) })
	t.Cleanup(func() { back.Close(); o.close() })
	return &stage{origin: o, base: "http://proxy.test", via: front(t, back)}
}

// patienceInTests is how long the proxy waits for the origin.
const patienceInTests = 15 * time.Second

// front starts the proxy before the origin that the pipe leads to, and returns the way to it.
func front(t *testing.T, back *pipe) *http.Transport {
	c, err := cache.New(cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	transport := newTransport()
	transport.DialContext = back.DialContext
	handler, err := newProxy(settings{origin: &url.URL{Scheme: "http", Host: "origin.test"}, timeout: patienceInTests, class: cache.SharedGlobal}, transport, c)
	if err != nil {
		t.Fatal(err)
	}
	server, listener := newServer(handler), newPipe()
	client := &http.Transport{DialContext: listener.DialContext, DisableCompression: true}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := errors.Join(server.Shutdown(context.Background()), c.Close(context.Background())); err != nil {
			t.Errorf("the proxy does not end: %v", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the proxy ended with %v", err)
		}
		transport.CloseIdleConnections()
	})
	return client
}
