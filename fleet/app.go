package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
)

// app is the process under test: a web app with routes of all classes. It prints the address that it listens on.
type app struct {
	id    uint64
	board *board
	cache *cache.Cache
	tally tally
}

// runApp is the program when its first argument is "app". It stops when its standard input is closed, and so never outlives
// the harness.
func runApp(args []string) error {
	flags := flag.NewFlagSet("app", flag.ExitOnError)
	id := flags.Uint64("id", 0, "number of this process")
	name := flags.String("board", "", "file of the board")
	url := flags.String("redis", "", "URL of the Redis that processes share")
	ttl := flags.Duration("ttl", time.Minute, "TTL of all routes")
	near := flags.Duration("near", 0, "near TTL of hot-shared routes")
	skew := flags.Duration("skew", 0, "how far this process' clock is ahead")
	_ = flags.Parse(args)

	goredis.SetLogger(quiet{})
	board, err := openBoard(*name)
	if err != nil {
		return err
	}
	redis, err := redisstore.Open(*url, redisstore.Options{Prefix: "larder"})
	if err != nil {
		return err
	}
	defer func() { _ = redis.Close() }()
	var far store.Store = redis
	if *skew != 0 {
		far = skewed{redis, *skew}
	}
	a := &app{id: *id, board: board}
	a.cache, err = cache.New(cache.Options{Far: far, User: who, Observe: a.tally.observe})
	if err != nil {
		return err
	}
	return a.serve(a.mux(*ttl, *near))
}

// quiet keeps go-redis from logging every failed dial. Here Redis fails on purpose.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func (a *app) serve(h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		_ = a.cache.Close(ctx)
	}()
	fmt.Println(l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// mux has every route of every class, the same routes without a cache, and the routes for the harness.
func (a *app) mux(ttl, near time.Duration) *http.ServeMux {
	mux := http.NewServeMux()
	for k := range kinds {
		for route := range routes {
			var h http.Handler = http.HandlerFunc(a.answer)
			if class, cached := classes[k]; cached {
				p := cache.Policy{Class: class, TTL: ttl, Tags: []string{fmt.Sprintf("%s:%d:{id}", k, route)}}
				if k == hot {
					p.NearTTL = min(near, ttl)
				}
				h = a.cache.Middleware(p)(h)
			}
			mux.Handle(fmt.Sprintf("GET /%s/r%d/{id}", k, route), h)
		}
	}
	mux.HandleFunc("POST /-/purge", a.purge)
	mux.HandleFunc("GET /-/tally", a.tally.write)
	mux.HandleFunc("POST /-/reset", a.tally.reset)
	return mux
}

// who stands in for authentication: here everybody is who they say they are.
func who(r *http.Request) (string, bool) {
	id := r.Header.Get("User")
	return id, id != ""
}

// answer is every route's handler. It reads its data first and sleeps afterwards, so it races with writes.
func (a *app) answer(w http.ResponseWriter, r *http.Request) {
	k, err := parsePath(r.URL.Path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	k.user, _ = strconv.Atoi(trimUser(r.Header.Get("User")))
	slot := k.slot()
	a.board.by[slot].Store(a.id)
	a.board.ran[slot].Add(1)
	made := answer{path: r.URL.Path, owner: k.owner(), version: a.board.version[slot].Load(), run: a.board.runs.Add(1), by: a.id}
	a.board.sleep()
	_, _ = io.WriteString(w, made.compose())
}

func trimUser(s string) string { return strings.TrimPrefix(s, "u") }

// purge purges the tags in the query. Status 503 means that the purge did not reach Redis.
func (a *app) purge(w http.ResponseWriter, r *http.Request) {
	var labels []cache.Label
	for _, tag := range r.URL.Query()["tag"] {
		labels = append(labels, cache.Tag(tag))
	}
	if err := a.cache.Purge(r.Context(), labels...); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// tally counts a process' events.
type tally struct {
	mu     sync.Mutex
	counts counts
}

// counts are the events of a process, as it reports them to the harness.
type counts struct {
	Events map[string]int // by outcome and reason
	Opened time.Time      // when the first event said that the circuit was open
	Last   string         // the last error other than an open circuit
}

func (t *tally) observe(ev cache.Event) {
	name := string(ev.Outcome)
	if ev.Reason != "" {
		name += "/" + string(ev.Reason)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case errors.Is(ev.Err, redisstore.ErrOpen):
		name += "/open"
		if t.counts.Opened.IsZero() {
			t.counts.Opened = time.Now()
		}
	case ev.Err != nil:
		t.counts.Last = ev.Err.Error()
	}
	if t.counts.Events == nil {
		t.counts.Events = map[string]int{}
	}
	t.counts.Events[name] += max(1, ev.Count)
}

func (t *tally) write(w http.ResponseWriter, _ *http.Request) {
	t.mu.Lock()
	c := t.counts
	c.Events = maps.Clone(c.Events)
	t.mu.Unlock()
	_ = json.NewEncoder(w).Encode(c)
}

func (t *tally) reset(http.ResponseWriter, *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts = counts{}
}
