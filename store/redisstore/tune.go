package redisstore

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Tune sets what [New] requires of a client's options, and leaves the other options alone:
//
//   - ContextTimeoutEnabled; MaxRetries and DialerRetries, so that nothing is retried;
//   - ReadTimeout, WriteTimeout and PoolTimeout to 50 ms unless they are 250 ms or less;
//   - DialTimeout to 100 ms unless it is 500 ms or less;
//   - ConnMaxIdleTime to 30 s unless it is set; with TLS a minute at most.
//
// If they are not set, Protocol becomes 2 and MaintNotificationsConfig off, because a Store does not use messages that
// Redis pushes; and with TLS the Dialer becomes one that detects dead connections. [Open] sets the same. Tune retains no
// reference to the options.
func Tune(o *redis.Options) {
	singleOptions(o).tune()
	o.MaintNotificationsConfig = maintenanceOff(o.MaintNotificationsConfig)
}

// TuneCluster is [Tune] for the options of a cluster's client. The client also does not sleep between two nodes
// (MinRetryBackoff, MaxRetryBackoff), does not read from replicas (ReadOnly, RouteByLatency, RouteRandomly), and checks
// every second which node has which slots, unless ClusterStateReloadInterval is set.
func TuneCluster(o *redis.ClusterOptions) {
	clusterOptions(o).tune()
	o.MaintNotificationsConfig = maintenanceOff(o.MaintNotificationsConfig)
	// Whatever MaxRetries says, a cluster's client sleeps before it tries another node.
	o.MinRetryBackoff, o.MaxRetryBackoff = -1, -1
	o.ReadOnly, o.RouteByLatency, o.RouteRandomly = false, false, false
	// When a primary dies, nothing says who replaces it: without this its slots are unreachable for a minute.
	o.ClusterStateReloadInterval = cmp.Or(o.ClusterStateReloadInterval, clusterReload)
}

// TuneFailover is [Tune] for the options of redis.NewFailoverClient and NewFailoverClusterClient. The client also does
// not sleep between two nodes, and does not read from replicas (RouteByLatency, RouteRandomly, ReplicaOnly,
// UseDisconnectedReplicas).
func TuneFailover(o *redis.FailoverOptions) {
	failoverOptions(o).tune()
	o.MinRetryBackoff, o.MaxRetryBackoff = -1, -1
	o.RouteByLatency, o.RouteRandomly, o.ReplicaOnly, o.UseDisconnectedReplicas = false, false, false, false
}

// TuneUniversal is [Tune], [TuneCluster] and [TuneFailover] in one, as far as these options go: they have no ClusterStateReloadInterval.
func TuneUniversal(o *redis.UniversalOptions) {
	universalOptions(o).tune()
	o.MaintNotificationsConfig = maintenanceOff(o.MaintNotificationsConfig)
	o.MinRetryBackoff, o.MaxRetryBackoff = -1, -1
	o.ReadOnly, o.RouteByLatency, o.RouteRandomly = false, false, false
}

// clientOptions points at the options that all kinds of clients have. go-redis has a separate struct for each kind.
type clientOptions struct {
	read, write, pool, dial, idle  *time.Duration
	retries, dialRetries, protocol *int
	contextTimeout                 *bool
	tls                            *tls.Config
	dialer                         *dialFunc
}

func singleOptions(o *redis.Options) clientOptions {
	return clientOptions{&o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.DialTimeout, &o.ConnMaxIdleTime, &o.MaxRetries, &o.DialerRetries,
		&o.Protocol, &o.ContextTimeoutEnabled, o.TLSConfig, &o.Dialer}
}

func clusterOptions(o *redis.ClusterOptions) clientOptions {
	return clientOptions{&o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.DialTimeout, &o.ConnMaxIdleTime, &o.MaxRetries, &o.DialerRetries,
		&o.Protocol, &o.ContextTimeoutEnabled, o.TLSConfig, &o.Dialer}
}

func failoverOptions(o *redis.FailoverOptions) clientOptions {
	return clientOptions{&o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.DialTimeout, &o.ConnMaxIdleTime, &o.MaxRetries, &o.DialerRetries,
		&o.Protocol, &o.ContextTimeoutEnabled, o.TLSConfig, &o.Dialer}
}

func universalOptions(o *redis.UniversalOptions) clientOptions {
	return clientOptions{&o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.DialTimeout, &o.ConnMaxIdleTime, &o.MaxRetries, &o.DialerRetries,
		&o.Protocol, &o.ContextTimeoutEnabled, o.TLSConfig, &o.Dialer}
}

// tune first clears what New would refuse, and then sets defaults for what is clear.
func (c clientOptions) tune() {
	for _, d := range []*time.Duration{c.read, c.write, c.pool} {
		resetAbove(d, maxTimeout)
	}
	resetAbove(c.dial, maxDialTimeout)
	if c.tls != nil {
		resetAbove(c.idle, maxIdleTime)
	}
	*c.retries, *c.dialRetries = 0, 0
	c.setDefaults()
}

// resetAbove clears a duration that is too long or unlimited.
func resetAbove(d *time.Duration, most time.Duration) {
	if *d < 0 || *d > most {
		*d = 0
	}
}

// setDefaults sets the options that are clear. Open needs nothing else: an option that its URL names must not be
// changed silently, but refused.
func (c clientOptions) setDefaults() {
	for _, d := range []*time.Duration{c.read, c.write, c.pool} {
		*d = cmp.Or(*d, defaultTimeout)
	}
	*c.dial, *c.idle = cmp.Or(*c.dial, defaultDialTimeout), cmp.Or(*c.idle, defaultIdleTime)
	*c.retries, *c.dialRetries = cmp.Or(*c.retries, -1), cmp.Or(*c.dialRetries, 1)
	*c.protocol, *c.contextTimeout = cmp.Or(*c.protocol, resp2), true
	if *c.dialer == nil {
		*c.dialer = tlsDialer(c.tls, *c.dial, *c.protocol)
	}
}

// setSingleDefaults and its like for the other kinds set what Open uses unless the URL says otherwise. DisableIdentity keeps
// go-redis from sending its name and version, a command that an access list would have to allow.
func setSingleDefaults(o *redis.Options) {
	singleOptions(o).setDefaults()
	o.DisableIdentity, o.MaintNotificationsConfig = true, maintenanceOff(nil)
}

func setClusterDefaults(o *redis.ClusterOptions) {
	clusterOptions(o).setDefaults()
	o.DisableIdentity, o.MaintNotificationsConfig = true, maintenanceOff(nil)
	o.MinRetryBackoff, o.MaxRetryBackoff = cmp.Or(o.MinRetryBackoff, -1), cmp.Or(o.MaxRetryBackoff, -1)
	o.ClusterStateReloadInterval = clusterReload
}

func setFailoverDefaults(o *redis.FailoverOptions) {
	failoverOptions(o).setDefaults()
	o.DisableIdentity = true
}

// resp2 is the protocol in which Redis sends nothing but replies. In RESP3 go-redis has to look for push messages
// before each reply, and a Store does not use any.
const resp2 = 2

// clusterReload is how often a client checks which node has which slots.
const clusterReload = time.Second

// maintenanceOff returns the caller's setting for messages about maintenance, or one that turns them off.
func maintenanceOff(config *maintnotifications.Config) *maintnotifications.Config {
	return cmp.Or(config, &maintnotifications.Config{Mode: maintnotifications.ModeDisabled})
}

// remedy says how the options of such a client are set.
func remedy(client redis.UniversalClient) string {
	const call = "call %s on them before the client is made, or set"
	switch c := client.(type) {
	case *redis.Client:
		if c != nil && c.Options().Addr == "FailoverClient" { // as go-redis names it
			return fmt.Sprintf(call, "redisstore.TuneFailover")
		}
		return fmt.Sprintf(call, "redisstore.Tune")
	case *redis.ClusterClient:
		return fmt.Sprintf(call, "redisstore.TuneCluster, or behind Sentinel TuneFailover,")
	}
	return "before the client is made, set"
}

// The longest time-outs that New accepts, and the defaults. A request waits for one operation no longer than ReadTimeout.
const (
	maxTimeout     = 250 * time.Millisecond
	maxDialTimeout = 500 * time.Millisecond

	defaultTimeout     = 50 * time.Millisecond
	defaultDialTimeout = 100 * time.Millisecond
)

// How long a TLS connection may be idle and still be used. Most load balancers close idle connections after a minute or
// more, and on a client that was given to New, go-redis may not notice that.
const (
	maxIdleTime     = time.Minute
	defaultIdleTime = 30 * time.Second
)

// limits are the options that decide how long a request may hang. go-redis reports them after it has set its own
// defaults: a MaxRetries of -1 is reported as 0, a time-out that was switched off as 0 or -1.
type limits struct {
	contextTimeout          bool
	read, write, pool, dial time.Duration
	retries, dialRetries    int
	replicas                bool
	backoff                 time.Duration // between the nodes of a cluster
	encrypted               bool
	idle                    time.Duration
}

// check returns how long one operation on the client may take, or an error if its options do not suit.
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

// check names everything that is wrong at once, so that it does not take one start per option to learn it.
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
