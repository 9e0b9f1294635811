package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// host is what clients call every site: it is part of a key, and the port of a test's server differs.
const host = "shop.test"

// A client is one visitor of any number of sites, with cookies.
type client struct {
	t    *testing.T
	http *http.Client
}

func newClient(t *testing.T) *client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{t, &http.Client{Jar: jar, Transport: transport}}
}

// loggedIn returns a client that has logged in.
func loggedIn(t *testing.T, s *site, name, password string) *client {
	t.Helper()
	c := newClient(t)
	a := c.post(s, "/login", "user", name, "password", password)
	if a.status != http.StatusOK {
		t.Fatalf("%s cannot log in: %d %s", name, a.status, a.text)
	}
	return c
}

// An answer is what a client sees of one.
type answer struct {
	status int
	cache  string // Cache-Status
	header http.Header
	text   string
	Run    int64 `json:"run"`
}

// get asks for a path, with headers as names and values.
func (c *client) get(s *site, path string, headers ...string) answer {
	c.t.Helper()
	return c.do(http.MethodGet, s.url+path, "", headers)
}

// post sends a form of names and values.
func (c *client) post(s *site, path string, form ...string) answer {
	c.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	return c.do(http.MethodPost, s.url+path, values.Encode(), []string{"Content-Type", "application/x-www-form-urlencoded"})
}

func (c *client) do(method, url, body string, headers []string) (a answer) {
	c.t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Host = host
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(text, &a); err != nil {
			c.t.Fatalf("%s %s is no JSON: %v\n%s", method, url, err, text)
		}
	}
	a.status, a.header, a.text = response.StatusCode, response.Header, string(text)
	a.cache = a.header.Get("Cache-Status")
	return a
}

// want checks that the answer came as said ("miss", "miss unkept", "miss long" and "variant long" whose head leaves it open, "hit near", "hit far", "bypass",
// "none") and shows the texts.
func (a answer) want(t *testing.T, how string, shows ...string) {
	t.Helper()
	marks := map[string]string{"miss": "; fwd=miss; stored;", "miss unkept": "; fwd=miss;", "miss long": "; fwd=miss;", "variant long": "; fwd=vary-miss;", "hit near": "detail=near", "hit far": "detail=far", "bypass": "fwd=bypass"}
	if mark := marks[how]; how == "none" && a.cache != "" || !strings.Contains(a.cache+";", mark) || strings.Contains(how, " ") && !strings.HasPrefix(how, "hit ") && strings.Contains(a.cache, "stored") {
		t.Errorf("Cache-Status is %q, want %s", a.cache, how)
	}
	for _, text := range shows {
		if !strings.Contains(a.text, text) {
			t.Errorf("the answer (%d) does not show %q:\n%.500s", a.status, text, a.text)
		}
	}
}
