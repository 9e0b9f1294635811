package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v3"
)

// app is what a server process has beside the contestant's own.
type app struct {
	redis string // URL; "" where there is none
	runs  atomic.Int64
	watch *watch // nil: answers are not timed
}

// server is net/http's, or a contestant's own.
type server interface{ Serve(net.Listener) error }

// web has net/http serve a handler.
func web(build func(*app) (http.Handler, error)) func(*app) (server, error) {
	return func(a *app) (server, error) {
		h, err := build(a)
		if a.watch != nil {
			h = a.watch.on(h)
		}
		return &http.Server{Handler: h}, err
	}
}

// fasthttp serves a fiber app.
type fasthttp struct{ *fiber.App }

func (f fasthttp) Serve(l net.Listener) error {
	return f.Listener(l, fiber.ListenConfig{DisableStartupMessage: true})
}

// serve is the program as "serve CONTESTANT ADDRESS": it prints the address that it serves on, and the one that it tells
// of itself on. It ends when its standard input does, and so never outlives the harness.
func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	var a app
	flags.StringVar(&a.redis, "redis", "", "URL of Redis")
	_ = flags.Parse(args)
	if flags.NArg() != 2 {
		return fmt.Errorf("usage: serve [-redis URL] CONTESTANT ADDRESS")
	}
	c, one, ok := find(flags.Arg(0))
	if !ok {
		return fmt.Errorf("no contestant is called %q", flags.Arg(0))
	}
	if c.timed {
		a.watch = new(watch)
	}
	s, err := one.build(&a)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", flags.Arg(1))
	if err != nil {
		return err
	}
	beside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(beside, a.control()) }()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println(l.Addr(), beside.Addr())
	return s.Serve(l)
}

// stats is what a server tells of itself.
type stats struct {
	Runs int64         // of the handler
	CPU  time.Duration // that the process has had; 0 where the system does not say
	Peak int64         // of the process' memory since the last reset, in bytes; 0 where the system does not say
	P99  time.Duration // of answers since the last reset, within the server; 0: they are not timed
}

// control is on a port of its own, so that nothing of it is on the way that is measured.
func (a *app) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(stats{a.runs.Load(), cpuTime(), peakMemory(), a.p99()})
	})
	mux.HandleFunc("GET /reset", func(http.ResponseWriter, *http.Request) { a.reset() })
	mux.HandleFunc("GET /profile", pprof.Profile)
	return mux
}

func (a *app) p99() time.Duration {
	if a.watch == nil {
		return 0
	}
	return a.watch.p99()
}

func (a *app) reset() {
	if a.watch != nil {
		a.watch.reset()
	}
	resetPeak()
}
