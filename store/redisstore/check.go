package redisstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// What a client may wait for at most. A request waits for one of its Redis operations no longer than ReadTimeout.
const (
	maxTimeout     = 250 * time.Millisecond
	maxDialTimeout = 500 * time.Millisecond

	defaultTimeout     = 50 * time.Millisecond
	defaultDialTimeout = 100 * time.Millisecond
)

// How long a connection may be idle before it is used again: balancers close those that are, most of them after a minute or
// more, and go-redis cannot see that of one with TLS.
const (
	maxIdleTime     = time.Minute
	defaultIdleTime = 30 * time.Second
)

// limits are the options of a client that decide how long a request may hang. go-redis reports them after it has filled
// in its defaults: a MaxRetries of -1 reads 0, a time-out that was switched off 0 or -1.
type limits struct {
	contextTimeout          bool
	read, write, pool, dial time.Duration
	retries, dialRetries    int
	replicas                bool
	backoff                 time.Duration // between the nodes of a cluster
	encrypted               bool
	idle                    time.Duration
}

// check returns how long one operation on the client may take.
func check(client redis.UniversalClient) (time.Duration, error) {
	var l limits
	switch c := client.(type) {
	case nil:
		return 0, errors.New("no client; make one with redis.NewClient, or use Open")
	case *redis.Client:
		o := c.Options()
		l = limits{o.ContextTimeoutEnabled, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout, o.DialTimeout,
			o.MaxRetries, o.DialerRetries, false, 0, o.TLSConfig != nil, o.ConnMaxIdleTime}
	case *redis.ClusterClient:
		o := c.Options()
		l = limits{o.ContextTimeoutEnabled, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout, o.DialTimeout,
			o.MaxRetries, o.DialerRetries, o.ReadOnly, min(o.MinRetryBackoff, o.MaxRetryBackoff), o.TLSConfig != nil, o.ConnMaxIdleTime}
	case *redis.Ring:
		o := c.Options()
		l = limits{o.ContextTimeoutEnabled, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout, o.DialTimeout,
			o.MaxRetries, o.DialerRetries, false, 0, o.TLSConfig != nil, o.ConnMaxIdleTime}
	default:
		return defaultTimeout, nil
	}
	return l.read, l.check()
}

// check names all that is wrong at once: to be told one after the other would take as many starts of the app.
func (l limits) check() error {
	var wrong []error
	fault := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	for _, t := range []struct {
		name           string
		is, most, good time.Duration
	}{
		{"ReadTimeout", l.read, maxTimeout, defaultTimeout},
		{"WriteTimeout", l.write, maxTimeout, defaultTimeout},
		{"PoolTimeout", l.pool, maxTimeout, defaultTimeout},
		{"DialTimeout", l.dial, maxDialTimeout, defaultDialTimeout},
	} {
		switch {
		case t.is <= 0:
			fault("%s has no bound; set it to %v or less (%v is a good value)", t.name, t.most, t.good)
		case t.is > t.most:
			fault("%s is %v; set it to %v or less (%v is a good value)", t.name, t.is, t.most, t.good)
		}
	}
	if !l.contextTimeout {
		fault("ContextTimeoutEnabled is false, so that deadlines are ignored; set it to true")
	}
	if l.retries > 0 {
		fault("MaxRetries is %d; set it to -1, which means none", l.retries)
	}
	if l.dialRetries != 1 {
		fault("DialerRetries is %d; set it to 1", l.dialRetries)
	}
	if l.backoff > 0 {
		fault("MinRetryBackoff and MaxRetryBackoff make a cluster's client sleep before it asks another node; set both to -1, " +
			"which means none")
	}
	if l.encrypted && (l.idle <= 0 || l.idle > maxIdleTime) {
		fault("ConnMaxIdleTime is %v, and a connection with TLS that was closed meanwhile cannot be told; set it to %v or less "+
			"(%v is a good value)", l.idle, maxIdleTime, defaultIdleTime)
	}
	if l.replicas {
		fault("ReadOnly, RouteByLatency or RouteRandomly reads from replicas, which lag behind purges; set them to false")
	}
	return errors.Join(wrong...)
}
