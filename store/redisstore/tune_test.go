package redisstore_test

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store/redisstore"
)

// random makes options of whatever kind, as an app may have them.
type random struct{ *rand.Rand }

func (r random) duration() time.Duration {
	some := []time.Duration{0, 0, -2, -1, 1, time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, 251 * time.Millisecond, 3 * time.Second, time.Hour}
	return some[r.IntN(len(some))]
}

func (r random) number() int { return r.IntN(6) - 2 }
func (r random) yes() bool   { return r.IntN(2) == 0 }

func (r random) tls() *tls.Config {
	if r.yes() {
		return nil
	}
	return &tls.Config{ServerName: "redis.internal"}
}

// A client whose options were tuned is never refused.
func TestATunedClientIsNeverRefused(t *testing.T) {
	r := random{rand.New(rand.NewPCG(1, 2))}
	kinds := map[string]func() redis.UniversalClient{
		"one": func() redis.UniversalClient {
			o := &redis.Options{
				ReadTimeout: r.duration(), WriteTimeout: r.duration(), PoolTimeout: r.duration(), DialTimeout: r.duration(), ConnMaxIdleTime: r.duration(),
				MaxRetries: r.number(), DialerRetries: r.number(), ContextTimeoutEnabled: r.yes(), TLSConfig: r.tls(), Protocol: 2 * r.IntN(2),
			}
			redisstore.Tune(o)
			return redis.NewClient(o)
		},
		"cluster": func() redis.UniversalClient {
			o := &redis.ClusterOptions{
				Addrs:       []string{"127.0.0.1:1"},
				ReadTimeout: r.duration(), WriteTimeout: r.duration(), PoolTimeout: r.duration(), DialTimeout: r.duration(), ConnMaxIdleTime: r.duration(),
				MaxRetries: r.number(), DialerRetries: r.number(), ContextTimeoutEnabled: r.yes(), TLSConfig: r.tls(),
				MinRetryBackoff: r.duration(), MaxRetryBackoff: r.duration(), ReadOnly: r.yes(), RouteByLatency: r.yes(), RouteRandomly: r.yes(),
			}
			redisstore.TuneCluster(o)
			return redis.NewClusterClient(o)
		},
		"failover": func() redis.UniversalClient {
			o := &redis.FailoverOptions{
				SentinelAddrs: []string{"127.0.0.1:1"}, MasterName: "main",
				ReadTimeout: r.duration(), WriteTimeout: r.duration(), PoolTimeout: r.duration(), DialTimeout: r.duration(), ConnMaxIdleTime: r.duration(),
				MaxRetries: r.number(), DialerRetries: r.number(), ContextTimeoutEnabled: r.yes(), TLSConfig: r.tls(),
				MinRetryBackoff: r.duration(), MaxRetryBackoff: r.duration(), RouteByLatency: r.yes(), RouteRandomly: r.yes(), ReplicaOnly: r.yes(),
			}
			redisstore.TuneFailover(o)
			if r.yes() {
				return redis.NewFailoverClusterClient(o)
			}
			return redis.NewFailoverClient(o)
		},
		"any": func() redis.UniversalClient {
			o := &redis.UniversalOptions{
				Addrs: []string{"127.0.0.1:1"}, IsClusterMode: r.yes(), MasterName: []string{"", "main"}[r.IntN(2)],
				ReadTimeout: r.duration(), WriteTimeout: r.duration(), PoolTimeout: r.duration(), DialTimeout: r.duration(), ConnMaxIdleTime: r.duration(),
				MaxRetries: r.number(), DialerRetries: r.number(), ContextTimeoutEnabled: r.yes(), TLSConfig: r.tls(),
				MinRetryBackoff: r.duration(), MaxRetryBackoff: r.duration(), ReadOnly: r.yes(), RouteByLatency: r.yes(), RouteRandomly: r.yes(),
			}
			redisstore.TuneUniversal(o)
			return redis.NewUniversalClient(o)
		},
	}
	for name, client := range kinds {
		t.Run(name, func(t *testing.T) {
			for range 100 {
				client := client()
				if _, err := redisstore.New(client, redisstore.Options{Prefix: "larder"}); err != nil {
					t.Fatalf("New = %v", err)
				}
				_ = client.Close()
			}
		})
	}
}

// What is good already stays as it is.
func TestTuneKeepsWhatSuits(t *testing.T) {
	o := &redis.Options{ReadTimeout: 100 * time.Millisecond, DialTimeout: 200 * time.Millisecond, ConnMaxIdleTime: 10 * time.Second, PoolSize: 7, Protocol: 3}
	redisstore.Tune(o)
	if o.ReadTimeout != 100*time.Millisecond || o.DialTimeout != 200*time.Millisecond || o.ConnMaxIdleTime != 10*time.Second || o.PoolSize != 7 || o.Protocol != 3 {
		t.Errorf("tuned to %+v", o)
	}
}

// The error of a client that does not suit names the function for its own options.
func TestTheRemedyFitsTheClient(t *testing.T) {
	for want, client := range map[string]redis.UniversalClient{
		"call redisstore.Tune on":         redis.NewClient(&redis.Options{}),
		"call redisstore.TuneCluster,":    redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}}),
		"call redisstore.TuneFailover on": redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "main", SentinelAddrs: []string{"127.0.0.1:1"}}),
		"; before the client is made, set": redis.NewRing(&redis.RingOptions{
			Addrs: map[string]string{"a": "127.0.0.1:1"}, HeartbeatFn: func(context.Context, *redis.Client) bool { return true },
		}),
	} {
		if _, err := redisstore.New(client, redisstore.Options{Prefix: "larder"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v; want %q", err, want)
		}
		_ = client.Close()
	}
}
