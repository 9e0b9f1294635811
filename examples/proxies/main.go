// Command proxies shows what caching proxies do with an app's responses. It starts an origin and, one after the other, each
// installed proxy in front of it. It plays the same exchanges through all of them and prints the results as a Markdown table.
//
//	apt-get install nginx-light varnish squid haproxy apache2 trafficserver
//	go run ./examples/proxies
//	go run ./examples/proxies -only nginx,squid
//	go run ./examples/proxies -advised
//
// Proxies listen only on 127.0.0.1, and write only to a directory that is removed at the end. Each has the least configuration
// that makes it a cache, and otherwise its defaults. docs/proxies.md has the table, and advice on how to configure proxies.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	only := flag.String("only", "", "names of the proxies to start, separated by commas; all if empty")
	var set settings
	flag.BoolVar(&set.advised, "advised", false, "configure them as docs/proxies.md advises")
	flag.BoolVar(&set.verbose, "v", false, "print what the proxies print")
	flag.Parse()
	chosen, err := choose(*only)
	if err == nil {
		err = run(ctx, chosen, set, os.Stdout, os.Stderr)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "proxies:", err)
		os.Exit(1)
	}
}

// settings are what the command line says.
type settings struct {
	advised, verbose bool
}

// choose returns the proxies with the names, which are separated by commas, or all for "".
func choose(names string) ([]proxy, error) {
	if names == "" {
		return proxies, nil
	}
	var chosen []proxy
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(proxies, func(p proxy) bool { return strings.EqualFold(p.name, name) })
		if i < 0 {
			return nil, fmt.Errorf("-only names %q; the proxies are %s", name, strings.Join(namesOf(proxies), ", "))
		}
		chosen = append(chosen, proxies[i])
	}
	return chosen, nil
}

func namesOf(all []proxy) (names []string) {
	for _, p := range all {
		names = append(names, p.name)
	}
	return names
}

// run plays the exchanges through each installed proxy, one proxy after the other.
func run(ctx context.Context, chosen []proxy, set settings, out, log io.Writer) error {
	o, err := newOrigin()
	if err != nil {
		return err
	}
	defer o.close()
	var t table
	for _, p := range chosen {
		version, ok := p.installed(ctx)
		if !ok {
			fmt.Fprintf(log, "%s is not installed: apt-get install %s\n", p.name, p.pack)
			continue
		}
		fmt.Fprintf(log, "%s %s\n", p.name, version)
		cells, err := through(ctx, p, o, set)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		t.add(p.name+" "+version, cells)
	}
	t.print(out)
	return nil
}

// through starts the proxy and plays all exchanges through it, concurrently.
func through(ctx context.Context, p proxy, o *origin, set settings) ([]string, error) {
	running, err := p.start(ctx, o.addr(), set)
	if err != nil {
		return nil, err
	}
	defer running.stop()
	return playAll(ctx, p.name, running.base, o), nil
}

// A table has a row for each exchange and a column for each proxy.
type table struct {
	heads   []string
	columns [][]string
}

func (t *table) add(head string, cells []string) {
	t.heads, t.columns = append(t.heads, head), append(t.columns, cells)
}

func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "| the origin sends | %s |\n|---|%s\n", strings.Join(t.heads, " | "), strings.Repeat("---|", len(t.heads)))
	for i, e := range exchanges {
		row := []string{e.what}
		for _, column := range t.columns {
			row = append(row, column[i])
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
}
