package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestBadFlagsAreNamed(t *testing.T) {
	env := func(string) string { return "" }
	for _, args := range [][]string{{"-framework", "gin"}, {"extra"}, {"-db", ""}} {
		if _, err := parse(args, env); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	set, err := parse([]string{"-framework", "echo"}, env)
	if want := (settings{"echo", "127.0.0.1:8080", "shop.db", ""}); err != nil || set != want {
		t.Errorf("got %+v, %v, want %+v", set, err, want)
	}
}

func TestWhatCannotBeUsedIsAnError(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	good := database(t)
	for name, set := range map[string]settings{
		"not a database": {framework: "nethttp", database: garbage},
		"no directory":   {framework: "nethttp", database: filepath.Join(garbage, "x.db")},
		"no framework":   {framework: "gin", database: good},
		"no Redis URL":   {framework: "nethttp", database: good, redisURL: "localhost:6379"},
	} {
		if _, err := open(set); err == nil {
			t.Errorf("%s: the shop opens", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

// The shop works without its Redis, and says so.
func TestRedisMayBeAway(t *testing.T) {
	log := new(lockedBuilder)
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
	nowhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere.Close()
	for _, framework := range []string{"nethttp", "echo"} {
		s := visit(t, settings{framework: framework, database: database(t), redisURL: "redis://" + nowhere.Addr().String()})
		alice := loggedIn(t, s, "alice", "wonderland")
		for range 2 {
			alice.get(s, "/me").want(t, "miss unkept", "alice")
			alice.get(s, "/search?q=tea").want(t, "miss unkept", "Assam tea")
		}
		alice.get(s, "/products/1").want(t, "miss unkept", "8.90")
		alice.get(s, "/products/1").want(t, "hit near", "8.90") // for five seconds memory does without Redis
		sam := loggedIn(t, s, "sam", "shopkeeper")
		sam.post(s, "/products/1", "price", "9.90").want(t, "none", `"purged": false`)
		alice.get(s, "/products/1").want(t, "miss unkept", "9.90")
		alice.get(s, "/rates").want(t, "miss")
		alice.get(s, "/rates").want(t, "hit near")
		alice.post(s, "/cart", "product", "1").want(t, "none", `"quantity": 1`, `"purged": false`)
	}
	if !strings.Contains(log.String(), "larder: fault") {
		t.Errorf("nothing says that Redis is away:\n%s", log.String())
	}
}

// A signal ends the shop although a stream is open.
func TestRunStops(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reader, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, settings{framework: "echo", listen: "127.0.0.1:0", database: database(t)}, out)
		out.Close()
	}()
	lines := bufio.NewScanner(reader)
	for lines.Scan() && !strings.Contains(lines.Text(), "is open: ") {
	}
	_, url, _ := strings.Cut(lines.Text(), "is open: ")
	go io.Copy(io.Discard, reader)

	response, err := newClient(t).http.Get(url + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
}

// A lockedBuilder is a strings.Builder for many goroutines.
type lockedBuilder struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuilder) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuilder) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
