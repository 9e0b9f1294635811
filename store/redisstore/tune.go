package redisstore

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Tune sets what [New] asks of a client and leaves the rest alone: ContextTimeoutEnabled, no retries (MaxRetries,
// DialerRetries); ReadTimeout, WriteTimeout and PoolTimeout of 50 ms unless they are 250 ms or less, DialTimeout of 100 ms
// unless it is 500 ms or less; ConnMaxIdleTime of 30 s unless it is set, and with TLS a minute at most. Where they are not
// set, Protocol is 2 and MaintNotificationsConfig off, for nobody here waits for messages that Redis sends on its own account,
// and with TLS the Dialer sees which connections are dead. [Open] sets the same. The options are the caller's: Tune keeps nothing
// of them.
func Tune(o *redis.Options) {
	commonOfSingle(o).tune()
	o.MaintNotificationsConfig = quietly(o.MaintNotificationsConfig)
}

// TuneCluster is [Tune] for the options of a cluster's client. In addition it does not sleep between nodes (MinRetryBackoff,
// MaxRetryBackoff), reads from no replica (ReadOnly, RouteByLatency, RouteRandomly), and looks each second which node has
// which slots (ClusterStateReloadInterval) unless that is set.
func TuneCluster(o *redis.ClusterOptions) {
	commonOfCluster(o).tune()
	o.MaintNotificationsConfig = quietly(o.MaintNotificationsConfig)
	// Whatever MaxRetries says, a cluster's client sleeps before it asks another node.
	o.MinRetryBackoff, o.MaxRetryBackoff = -1, -1
	o.ReadOnly, o.RouteByLatency, o.RouteRandomly = false, false, false
	// A primary that died says nothing of who has taken its place: without this its slots are lost for a minute.
	o.ClusterStateReloadInterval = cmp.Or(o.ClusterStateReloadInterval, clusterReload)
}

// TuneFailover is [Tune] for the options of a client behind Sentinel, redis.NewFailoverClient's or NewFailoverClusterClient's.
// In addition it does not sleep between nodes and reads from no replica (RouteByLatency, RouteRandomly, ReplicaOnly,
// UseDisconnectedReplicas).
func TuneFailover(o *redis.FailoverOptions) {
	commonOfFailover(o).tune()
	o.MinRetryBackoff, o.MaxRetryBackoff = -1, -1
	o.RouteByLatency, o.RouteRandomly, o.ReplicaOnly, o.UseDisconnectedReplicas = false, false, false, false
}

// TuneUniversal is [Tune], [TuneCluster] and [TuneFailover] for the options that may become any of these clients.
func TuneUniversal(o *redis.UniversalOptions) {
	commonOfUniversal(o).tune()
	o.MaintNotificationsConfig = quietly(o.MaintNotificationsConfig)
	o.MinRetryBackoff, o.MaxRetryBackoff = -1, -1
	o.ReadOnly, o.RouteByLatency, o.RouteRandomly = false, false, false
}

// common are the options that all kinds of clients have.
type common struct {
	read, write, pool, dial, idle *time.Duration
	retries, dials, protocol      *int
	contextTimeout                *bool
	tls                           *tls.Config
	dialer                        *dialFunc
}

func commonOfSingle(o *redis.Options) common {
	return common{&o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.DialTimeout, &o.ConnMaxIdleTime, &o.MaxRetries, &o.DialerRetries,
		&o.Protocol, &o.ContextTimeoutEnabled, o.TLSConfig, &o.Dialer}
}

func commonOfCluster(o *redis.ClusterOptions) common {
	return common{&o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.DialTimeout, &o.ConnMaxIdleTime, &o.MaxRetries, &o.DialerRetries,
		&o.Protocol, &o.ContextTimeoutEnabled, o.TLSConfig, &o.Dialer}
}

func commonOfFailover(o *redis.FailoverOptions) common {
	return common{&o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.DialTimeout, &o.ConnMaxIdleTime, &o.MaxRetries, &o.DialerRetries,
		&o.Protocol, &o.ContextTimeoutEnabled, o.TLSConfig, &o.Dialer}
}

func commonOfUniversal(o *redis.UniversalOptions) common {
	return common{&o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.DialTimeout, &o.ConnMaxIdleTime, &o.MaxRetries, &o.DialerRetries,
		&o.Protocol, &o.ContextTimeoutEnabled, o.TLSConfig, &o.Dialer}
}

// tune sets what New would refuse, and then what is left open.
func (c common) tune() {
	for _, d := range []*time.Duration{c.read, c.write, c.pool} {
		bound(d, maxTimeout)
	}
	bound(c.dial, maxDialTimeout)
	if c.tls != nil {
		bound(c.idle, maxIdleTime)
	}
	*c.retries, *c.dials = 0, 0
	c.fill()
}

// bound opens again what is too long, or without an end.
func bound(d *time.Duration, most time.Duration) {
	if *d < 0 || *d > most {
		*d = 0
	}
}

// fill sets what is left open.
func (c common) fill() {
	for _, d := range []*time.Duration{c.read, c.write, c.pool} {
		*d = cmp.Or(*d, goodTimeout)
	}
	*c.dial, *c.idle = cmp.Or(*c.dial, goodDialTimeout), cmp.Or(*c.idle, goodIdleTime)
	*c.retries, *c.dials = cmp.Or(*c.retries, -1), cmp.Or(*c.dials, 1)
	*c.protocol, *c.contextTimeout = cmp.Or(*c.protocol, pulls), true
	if *c.dialer == nil {
		*c.dialer = dialer(c.tls, *c.dial, *c.protocol)
	}
}

// pulls is the protocol (RESP2) without messages that Redis sends on its own account: nobody here waits for any, and go-redis
// would look for them before each reply.
const pulls = 2

// clusterReload is how often a client looks again which node has which slots.
const clusterReload = time.Second

// quietly is the caller's word about messages that tell of maintenance, or that there are to be none.
func quietly(config *maintnotifications.Config) *maintnotifications.Config {
	return cmp.Or(config, &maintnotifications.Config{Mode: maintnotifications.ModeDisabled})
}

// tuner says how the options of such a client are set.
func tuner(client redis.UniversalClient) string {
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
