package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/larder-go/cache/store/storetest"
)

func TestMain(m *testing.M) {
	hushRedis()
	rounds = 1000
	goleak.VerifyTestMain(m)
}

// each plays a test on every framework.
func each(t *testing.T, f func(t *testing.T, set settings)) {
	for _, framework := range []string{"nethttp", "echo"} {
		t.Run(framework, func(t *testing.T) {
			f(t, settings{framework: framework, database: database(t), redisURL: redisURL(t)})
		})
	}
}

// filled is a new database, made once: hashing passwords takes its time.
var filled = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "shop.db")
	db, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func database(t *testing.T) string {
	t.Helper()
	content, err := filled()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a shop?.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// redisURL is a Redis that outlives the sites of a test: a real one, if there is one.
func redisURL(t *testing.T) string {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return "redis://" + miniredis.RunT(t).Addr()
	}
	return storetest.Redis(t)
}

// A site is one process's worth of shop.
type site struct {
	t      *testing.T
	url    string
	cancel func()
}

// visit opens the shop; it is closed with the test, or before it by cancel.
func visit(t *testing.T, set settings) *site {
	t.Helper()
	a, err := open(set)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a.handler)
	s := &site{t: t, url: server.URL}
	s.cancel = sync.OnceFunc(func() {
		a.endStreams()
		server.Close()
		if err := a.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.cancel)
	return s
}

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

// want checks that the answer came as said ("miss", "hit near", "hit far", "bypass", "none") and shows the texts.
func (a answer) want(t *testing.T, how string, shows ...string) {
	t.Helper()
	marks := map[string]string{"miss": "fwd=miss; stored", "hit near": "detail=near", "hit far": "detail=far", "bypass": "fwd=bypass"}
	if mark := marks[how]; how == "none" && a.cache != "" || !strings.Contains(a.cache, mark) {
		t.Errorf("Cache-Status is %q, want %s", a.cache, how)
	}
	for _, text := range shows {
		if !strings.Contains(a.text, text) {
			t.Errorf("the answer (%d) does not show %q:\n%.500s", a.status, text, a.text)
		}
	}
}
