package redisstore

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Open returns a Store on a client of its own, tuned so that Redis can hold no request up: 50 ms to read, write or get a
// connection, 100 ms to dial, no retries. The URL is one of
//
//	redis://user:password@host:6379/0     rediss:// with TLS
//	unix:///run/redis.sock
//	redis+cluster://host:6379?addr=host2:6379&addr=host3:6379
//	redis+sentinel://host:26379/0?master_name=main&addr=host2:26379
//
// with go-redis' options as parameters (pool_size=20, read_timeout=100ms). A redis:// URL with addr parameters is a
// cluster's, with a master_name Sentinel's. Connections that were idle for 30 s are not used any more
// (conn_max_idle_time). An error names what is wrong and never holds the password. Nothing is dialled; the Store must be
// closed.
func Open(url string, o Options) (*Store, error) {
	client, err := o.connect(url)
	if err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	o.TLS = nil
	s, err := New(client, o)
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	s.close = client.Close
	return s, nil
}

var errURL = errors.New("the URL cannot be read; write redis://user:password@host:6379/0, " +
	"and %-encode what the password has of : / ? # [ ] @ %")

// connect makes the client that the URL asks for.
func (o *Options) connect(raw string) (redis.UniversalClient, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Fragment != "" || u.Opaque != "" || strings.Contains(u.Path+u.RawQuery, "@") {
		return nil, errURL // said in our words: net/url and go-redis quote the piece they stumble over, even of a password
	}
	kind := ""
	u.Scheme, kind, _ = strings.Cut(u.Scheme, "+")
	query := u.Query()
	switch {
	case kind == "" && query.Has("master_name"):
		kind = "sentinel"
	case kind == "" && query.Has("addr"):
		kind = "cluster"
	}
	switch u.Scheme + "+" + kind {
	case "redis+", "rediss+", "unix+":
		return o.single(u)
	case "redis+cluster", "rediss+cluster":
		return o.cluster(u)
	case "redis+sentinel", "rediss+sentinel":
		return o.sentinel(u)
	}
	return nil, errors.New("unknown scheme at the start of the URL; use redis, rediss, unix, redis+cluster, rediss+cluster, " +
		"redis+sentinel or rediss+sentinel")
}

func (own *Options) single(u *url.URL) (redis.UniversalClient, error) {
	if err := checkDatabase(u); err != nil {
		return nil, err
	}
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, hide(err, u)
	}
	tune(&o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.DialTimeout, &o.ConnMaxIdleTime, &o.MaxRetries, &o.DialerRetries)
	o.ContextTimeoutEnabled, o.DisableIdentity, o.Protocol = true, true, cmp.Or(o.Protocol, pulls)
	o.MaintNotificationsConfig = noMaintenance()
	if o.TLSConfig, err = own.secured(o.TLSConfig); err != nil {
		return nil, err
	}
	o.Dialer = dialer(o.TLSConfig, o.DialTimeout, o.Protocol)
	return redis.NewClient(o), nil
}

func (own *Options) cluster(u *url.URL) (redis.UniversalClient, error) {
	if strings.Trim(u.Path, "/0") != "" {
		return nil, errors.New("the URL's path names a database; a cluster has only one: drop the path")
	}
	o, err := redis.ParseClusterURL(u.String())
	if err != nil {
		return nil, hide(err, u)
	}
	tune(&o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.DialTimeout, &o.ConnMaxIdleTime, &o.MaxRetries, &o.DialerRetries)
	o.ContextTimeoutEnabled, o.DisableIdentity, o.Protocol = true, true, cmp.Or(o.Protocol, pulls)
	o.MaintNotificationsConfig = noMaintenance()
	// A primary that died says nothing of who has taken its place: without this its slots are lost for a minute.
	o.ClusterStateReloadInterval = cmp.Or(o.ClusterStateReloadInterval, clusterReload)
	// Whatever MaxRetries says, a cluster's client sleeps before it asks another node.
	o.MinRetryBackoff, o.MaxRetryBackoff = cmp.Or(o.MinRetryBackoff, -1), cmp.Or(o.MaxRetryBackoff, -1)
	if o.TLSConfig, err = own.secured(o.TLSConfig); err != nil {
		return nil, err
	}
	o.Dialer = dialer(o.TLSConfig, o.DialTimeout, o.Protocol)
	return redis.NewClusterClient(o), nil
}

func (own *Options) sentinel(u *url.URL) (redis.UniversalClient, error) {
	if err := checkDatabase(u); err != nil {
		return nil, err
	}
	o, err := redis.ParseFailoverURL(u.String())
	switch {
	case err != nil:
		return nil, hide(err, u)
	case o.MasterName == "":
		return nil, errors.New("the URL's parameters name no master; add ?master_name=… as Sentinel knows it")
	case o.RouteByLatency || o.RouteRandomly || o.ReplicaOnly || o.UseDisconnectedReplicas:
		return nil, errors.New("the URL's parameters read from replicas, which lag behind purges; " +
			"drop route_by_latency, route_randomly, replica_only and use_disconnected_replicas")
	}
	tune(&o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.DialTimeout, &o.ConnMaxIdleTime, &o.MaxRetries, &o.DialerRetries)
	o.ContextTimeoutEnabled, o.DisableIdentity, o.Protocol = true, true, cmp.Or(o.Protocol, pulls)
	if o.TLSConfig, err = own.secured(o.TLSConfig); err != nil {
		return nil, err
	}
	o.Dialer = dialer(o.TLSConfig, o.DialTimeout, o.Protocol)
	return redis.NewFailoverClient(o), nil
}

// pulls is the protocol (RESP2) without messages that Redis sends on its own account: nobody here waits for any, and go-redis
// would look for them before each reply.
const pulls = 2

// clusterReload is how often a client looks again which node has which slots.
const clusterReload = time.Second

// tune sets what the URL leaves open.
func tune(read, write, pool, dial, idle *time.Duration, retries, dials *int) {
	for _, d := range []*time.Duration{read, write, pool} {
		*d = cmp.Or(*d, goodTimeout)
	}
	*dial, *idle = cmp.Or(*dial, goodDialTimeout), cmp.Or(*idle, goodIdleTime)
	*retries, *dials = cmp.Or(*retries, -1), cmp.Or(*dials, 1)
}

func noMaintenance() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

func checkDatabase(u *url.URL) error {
	path := strings.Trim(u.Path, "/")
	if _, err := strconv.Atoi(path); u.Scheme != "unix" && path != "" && err != nil {
		return errors.New("the URL's path, after the host, is no database number; use /0, for example")
	}
	return nil
}

// hide returns what go-redis says of the URL's parameters, unless that quotes the password.
func hide(err error, u *url.URL) error {
	text := strings.TrimPrefix(err.Error(), "redis: ")
	if password, _ := u.User.Password(); password != "" && strings.Contains(text, password) {
		return errURL
	}
	return fmt.Errorf("the URL's parameters: %s; see redis.ParseURL of go-redis for their names", text)
}
