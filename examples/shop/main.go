// Command shop is a small shop behind Larder: pages and an API over SQLite, served by net/http or by echo.
//
//	go run ./examples/shop
//
// routes.cache says what is cached, and where.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// patience is how long requests in progress may still take when the shop is told to stop.
const patience = 5 * time.Second

func main() {
	hushRedis()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	set, err := parse(os.Args[1:], os.Getenv)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, set, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func parse(args []string, getenv func(string) string) (set settings, err error) {
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	flags.StringVar(&set.framework, "framework", "nethttp", "what serves: nethttp or echo")
	flags.StringVar(&set.listen, "listen", "127.0.0.1:8080", "host and port to listen on")
	flags.StringVar(&set.database, "db", "shop.db", "file of the SQLite database; it is made if it is not there")
	if err := flags.Parse(args); err != nil {
		return set, err
	}
	set.redisURL = getenv("REDIS_URL")
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unknown argument %q; the flags are -framework, -listen and -db", flags.Arg(0))
	case set.framework != "nethttp" && set.framework != "echo":
		err = fmt.Errorf("unknown framework %q; use -framework nethttp or -framework echo", set.framework)
	case set.database == "":
		err = errors.New("-db is empty; name a file, shop.db for example")
	}
	return set, err
}

// run serves the shop until the context ends.
func run(ctx context.Context, set settings, out io.Writer) error {
	listener, err := net.Listen("tcp", set.listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %q: %w; name another host:port with -listen", set.listen, err)
	}
	a, err := open(set)
	if err != nil {
		listener.Close()
		return err
	}
	server := &http.Server{Handler: a.handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	server.RegisterOnShutdown(a.endStreams)
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
	return errors.Join(err, server.Shutdown(last), a.close(last))
}
