package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/larder-go/cache"
)

// settings are what the command line says.
type settings struct {
	listen  string
	origin  *url.URL
	timeout time.Duration // how long the origin may send nothing
	class   cache.Class
	redis   string
}

// parse reads the command line; usage goes to out.
func parse(args []string, out io.Writer) (set settings, err error) {
	flags := flag.NewFlagSet("proxy", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&set.listen, "listen", "127.0.0.1:8080", "host and port to listen on")
	origin := flags.String("origin", "", "URL of the origin, http://127.0.0.1:3000 for example; required")
	flags.DurationVar(&set.timeout, "timeout", 15*time.Second, "how long the origin may take until its answer begins, or goes on")
	class := flags.String("class", cache.SharedGlobal.String(), "where answers live: shared-global, hot-shared or fleet-shared")
	flags.StringVar(&set.redis, "redis", "", "URL of the Redis that hot-shared and fleet-shared need")
	if err := flags.Parse(args); err != nil {
		return set, err
	}
	if flags.NArg() > 0 {
		return set, fmt.Errorf("unknown argument %q; the flags are -listen, -origin, -timeout, -class and -redis", flags.Arg(0))
	}
	if set.origin, err = parseOrigin(*origin); err != nil {
		return set, err
	}
	if set.timeout <= 0 {
		return set, fmt.Errorf("-timeout %v leaves the origin no time; name one above zero, -timeout 15s for example", set.timeout)
	}
	if set.class, err = parseClass(*class); err != nil {
		return set, err
	}
	if set.class != cache.SharedGlobal && set.redis == "" {
		return set, fmt.Errorf("%s lives in Redis and -redis is missing; name one, -redis redis://127.0.0.1:6379 for example, or use -class %s",
			set.class, cache.SharedGlobal)
	}
	return set, nil
}

func parseOrigin(text string) (*url.URL, error) {
	if text == "" {
		return nil, errors.New("-origin is missing; name the origin's URL, -origin http://127.0.0.1:3000 for example")
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("-origin %q is no http or https URL; write it in full, http://127.0.0.1:3000 for example", text)
	}
	return u, nil
}

func parseClass(text string) (cache.Class, error) {
	p, err := cache.ParsePolicy(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("-class: %w", err)
	case p.String() != p.Class.String():
		return 0, fmt.Errorf("-class %q has settings; name the class alone, the origin's headers say the rest", text)
	case p.Class == cache.PerUser:
		return 0, fmt.Errorf("-class %s needs to know who is asking, which a proxy does not; use %s, %s or %s",
			p.Class, cache.SharedGlobal, cache.HotShared, cache.FleetShared)
	}
	return p.Class, nil
}
