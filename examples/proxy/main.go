// Command proxy is a caching reverse proxy: Larder in front of any HTTP origin, as a standard shared cache (RFC 9111).
//
//	go run ./examples/proxy -origin http://127.0.0.1:3000
//	curl -i http://127.0.0.1:8080/   # again: Cache-Status says hit, if the origin's response may be stored
//
// The origin's own Cache-Control, Expires and Vary decide what is stored, and for how long.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/store/redisstore"
)

// patience is how long requests in progress may still take when the proxy is told to stop.
const patience = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	set, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, set, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		os.Exit(1)
	}
}

// run serves until the context ends.
func run(ctx context.Context, set settings, out io.Writer) error {
	listener, err := net.Listen("tcp", set.listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %q: %w; name another host:port with -listen", set.listen, err)
	}
	c, closeCache, err := openCache(set.redis)
	if err != nil {
		listener.Close()
		return err
	}
	handler, err := newProxy(set, newTransport(), c)
	if err != nil {
		listener.Close()
		return errors.Join(err, closeCache(ctx))
	}
	server := newServer(handler)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	banner(out, set, listener.Addr())
	select {
	case <-ctx.Done():
		fmt.Fprintln(out, "stopping")
	case err = <-served:
	}
	last, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return errors.Join(err, server.Shutdown(last), closeCache(last))
}

func newServer(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
}

// openCache opens a cache, with the Redis at the URL unless that is "". It is no error if Redis does not answer: until it does,
// requests go to the origin. The caller must call end.
func openCache(redisURL string) (c *cache.Cache, end func(context.Context) error, err error) {
	if redisURL == "" {
		if c, err = cache.New(cache.Options{}); err != nil {
			return nil, nil, err
		}
		return c, c.Close, nil
	}
	far, err := redisstore.Open(redisURL, redisstore.Options{Prefix: "larder-proxy"})
	if err != nil {
		return nil, nil, err
	}
	if c, err = cache.New(cache.Options{Far: far, Observe: logFaults}); err != nil {
		return nil, nil, errors.Join(err, far.Close())
	}
	return c, func(ctx context.Context) error { return errors.Join(c.Close(ctx), far.Close()) }, nil
}

// logFaults logs faults of Redis. The origin serves the requests meanwhile.
func logFaults(e cache.Event) {
	if e.Outcome == cache.Fault && e.Err != nil {
		log.Print("the cache has a fault: ", e.Err)
	}
}

// banner prints what is cached and what to try.
func banner(out io.Writer, set settings, addr net.Addr) {
	fmt.Fprintf(out, `Larder caches %s as %s at http://%s

Paste these. Cache-Status says what the cache did: a miss, then a hit if the origin's answer may be kept.

  look() { curl -so /dev/null -D - "$@" | grep -iE '^(HTTP|Cache-Status|Cache-Control|Age):?'; echo; }
  look http://%[3]s/
  look http://%[3]s/
  look http://%[3]s/ -H 'Cache-Control: no-cache'

`, set.origin.Redacted(), set.class, addr)
}
