package redisstore

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Open returns a Store on a client of its own, tuned so that Redis can hold no request up: 50 ms to read, write or get a
// connection, 100 ms to dial, no retries. The URL is one of
//
//	redis://user:password@host:6379/0     rediss:// with TLS
//	unix:///run/redis.sock
//	redis+cluster://user:password@host:6379?addr=host2:6379&addr=host3:6379
//	redis+sentinel://host:26379/0?master_name=main&username=user&password=password&addr=host2:26379
//
// with go-redis' options as parameters (pool_size=20, read_timeout=100ms). A redis:// URL with addr parameters is a
// cluster's, with a master_name Sentinel's. In a Sentinel's URL what stands before the host, user:password@, is for Sentinel
// itself; Redis' own are the parameters username and password. Connections that were idle for 30 s are not used any more
// (conn_max_idle_time). An error says what is wrong and holds no piece of the URL but names of parameters. Nothing is dialled;
// the Store must be closed.
func Open(url string, o Options) (*Store, error) {
	client, sentinel, err := o.connect(url)
	if err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	o.TLS = nil
	s, err := o.newOwnStore(client)
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	s.close, s.sentinel, s.detectsDead = client.Close, sentinel, detectsDeadConns(client)
	return s, nil
}

// seesDead reports whether go-redis sees which connections of the client's pool are dead, as far as it can be known.
func detectsDeadConns(client redis.UniversalClient) bool {
	c, ok := client.(*redis.Client)
	return ok && runtime.GOOS != "windows" && (c.Options().TLSConfig == nil || c.Options().Protocol == resp2)
}

// open returns a Store on the client that a URL asks for.
func (o Options) newOwnStore(client redis.UniversalClient) (*Store, error) {
	budget, err := check(client)
	if err != nil {
		return nil, fmt.Errorf("redisstore: the URL's parameters do not suit a cache:\n%w", err)
	}
	return o.newStore(client, budget)
}

var errURL = errors.New("the URL cannot be read; write redis://user:password@host:6379/0, " +
	"and %-encode what the password has of : / ? # [ ] @ %")

// connect makes the client that the URL asks for. What is wrong is said in our words: net/url and go-redis quote the piece that
// they stumble over, even of a password.
func (o *Options) connect(raw string) (client redis.UniversalClient, behind *sentinel, err error) {
	u, err := url.Parse(raw)
	if err != nil || u.Fragment != "" || u.Opaque != "" || strings.Contains(u.Path+u.RawQuery, "@") {
		return nil, nil, errURL
	}
	query, err := url.ParseQuery(u.RawQuery) // which go-redis reads as far as it can
	if err != nil {
		return nil, nil, errURL
	}
	kind := ""
	u.Scheme, kind, _ = strings.Cut(u.Scheme, "+")
	switch {
	case kind == "" && query.Has("master_name"):
		kind = "sentinel"
	case kind == "" && query.Has("addr"):
		kind = "cluster"
	}
	switch u.Scheme + "+" + kind {
	case "redis+", "rediss+", "unix+":
		client, err = o.singleClient(u)
		return client, nil, err
	case "redis+cluster", "rediss+cluster":
		client, err = o.clusterClient(u)
		return client, nil, err
	case "redis+sentinel", "rediss+sentinel":
		return o.failoverClient(u)
	}
	return nil, nil, errors.New("unknown scheme at the start of the URL; use redis, rediss, unix, redis+cluster, rediss+cluster, " +
		"redis+sentinel or rediss+sentinel")
}

func (own *Options) singleClient(u *url.URL) (redis.UniversalClient, error) {
	if err := checkDatabase(u); err != nil {
		return nil, err
	}
	if u.Scheme == "unix" && strings.TrimSpace(u.Path) == "" {
		return nil, errors.New("the URL names no unix socket path; write unix:///run/redis.sock")
	}
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, parameter(u, func(s string) error { _, err := redis.ParseURL(s); return err })
	}
	if o.TLSConfig, err = own.tlsConfig(o.TLSConfig); err != nil {
		return nil, err
	}
	singleOptions(o).setDefaults()
	o.DisableIdentity, o.MaintNotificationsConfig = true, maintenanceOff(nil)
	return redis.NewClient(o), nil
}

func (own *Options) clusterClient(u *url.URL) (redis.UniversalClient, error) {
	if strings.Trim(u.Path, "/0") != "" {
		return nil, errors.New("the URL's path names a database; a cluster has only one: drop the path")
	}
	o, err := redis.ParseClusterURL(u.String())
	if err != nil {
		return nil, parameter(u, func(s string) error { _, err := redis.ParseClusterURL(s); return err })
	}
	if o.TLSConfig, err = own.tlsConfig(o.TLSConfig); err != nil {
		return nil, err
	}
	clusterOptions(o).setDefaults()
	o.DisableIdentity, o.MaintNotificationsConfig = true, maintenanceOff(nil)
	o.MinRetryBackoff, o.MaxRetryBackoff = cmp.Or(o.MinRetryBackoff, -1), cmp.Or(o.MaxRetryBackoff, -1)
	o.ClusterStateReloadInterval = clusterReload
	return redis.NewClusterClient(o), nil
}

func (own *Options) failoverClient(u *url.URL) (redis.UniversalClient, *sentinel, error) {
	if err := checkDatabase(u); err != nil {
		return nil, nil, err
	}
	o, err := redis.ParseFailoverURL(u.String())
	switch {
	case err != nil:
		return nil, nil, parameter(u, func(s string) error { _, err := redis.ParseFailoverURL(s); return err })
	case o.MasterName == "":
		return nil, nil, errors.New("the URL's parameters name no master; add ?master_name=… as Sentinel knows it")
	case o.RouteByLatency || o.RouteRandomly || o.ReplicaOnly || o.UseDisconnectedReplicas:
		return nil, nil, errors.New("the URL's parameters read from replicas, which lag behind purges; " +
			"drop route_by_latency, route_randomly, replica_only and use_disconnected_replicas")
	}
	if o.TLSConfig, err = own.tlsConfig(o.TLSConfig); err != nil {
		return nil, nil, err
	}
	failoverOptions(o).setDefaults()
	o.DisableIdentity = true
	client := redis.NewFailoverClient(o)
	behind := &sentinel{master: o.MasterName}
	client.AddHook(behind)
	return client, behind, nil
}

func checkDatabase(u *url.URL) error {
	path := strings.Trim(u.Path, "/")
	if _, err := strconv.Atoi(path); u.Scheme != "unix" && path != "" && err != nil {
		return errors.New("the URL's path, after the host, is no database number; use /0, for example")
	}
	return nil
}

// parameter says which of the URL's parameters go-redis does not take. A name that it does not know may be the rest of a
// password with a "&", and is told by its place.
func parameter(u *url.URL, parse func(string) error) error {
	takes := func(query string) bool {
		only := *u
		only.RawQuery = query
		return parse(only.String()) == nil
	}
	pairs := strings.Split(u.RawQuery, "&")
	for i, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		switch {
		case takes(pair):
		case name == "password" || name == "username":
			return errors.New("the URL's parameters username and password are of Sentinel's URLs; here user:password@ stands before the host")
		case takes(name + "="), name == "addr":
			return fmt.Errorf("the URL's parameter %s has a value of another kind; write a number, a time such as 100ms, true or false, or "+
				"for addr host:port", name)
		default:
			return fmt.Errorf("parameter %d of the URL's %d has a name that means nothing in such a URL; see redis.ParseURL, ParseClusterURL "+
				"and ParseFailoverURL of go-redis for the names, and %%-encode what a password has of & and #", i+1, len(pairs))
		}
	}
	return errURL
}
