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
	singleOptions(o).tune()
	o.MaintNotificationsConfig = maintenanceOff(o.MaintNotificationsConfig)
}

// TuneCluster is [Tune] for the options of a cluster's client. In addition it does not sleep between nodes (MinRetryBackoff,
// MaxRetryBackoff), reads from no replica (ReadOnly, RouteByLatency, RouteRandomly), and looks each second which node has
// which slots (ClusterStateReloadInterval) unless that is set.
func TuneCluster(o *redis.ClusterOptions) {
	clusterOptions(o).tune()
	o.MaintNotificationsConfig = maintenanceOff(o.MaintNotificationsConfig)
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
	failoverOptions(o).tune()
	o.MinRetryBackoff, o.MaxRetryBackoff = -1, -1
	o.RouteByLatency, o.RouteRandomly, o.ReplicaOnly, o.UseDisconnectedReplicas = false, false, false, false
}

// TuneUniversal is [Tune], [TuneCluster] and [TuneFailover] for the options that may become any of these clients.
func TuneUniversal(o *redis.UniversalOptions) {
	universalOptions(o).tune()
	o.MaintNotificationsConfig = maintenanceOff(o.MaintNotificationsConfig)
	o.MinRetryBackoff, o.MaxRetryBackoff = -1, -1
	o.ReadOnly, o.RouteByLatency, o.RouteRandomly = false, false, false
}

// common are the options that all kinds of clients have.
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

// tune sets what New would refuse, and then what is left open.
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

// bound opens again what is too long, or without an end.
func resetAbove(d *time.Duration, most time.Duration) {
	if *d < 0 || *d > most {
		*d = 0
	}
}

// fill sets what is left open.
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

// pulls is the protocol (RESP2) without messages that Redis sends on its own account: nobody here waits for any, and go-redis
// would look for them before each reply.
const resp2 = 2

// clusterReload is how often a client looks again which node has which slots.
const clusterReload = time.Second

// quietly is the caller's word about messages that tell of maintenance, or that there are to be none.
func maintenanceOff(config *maintnotifications.Config) *maintnotifications.Config {
	return cmp.Or(config, &maintnotifications.Config{Mode: maintnotifications.ModeDisabled})
}

// tuner says how the options of such a client are set.
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
