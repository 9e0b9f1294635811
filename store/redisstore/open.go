package redisstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// Open returns a Store on a client of its own. The client is tuned so that Redis cannot hold up a request: 50 ms to
// read, to write or to get a connection, 100 ms to dial, no retries. Nothing is dialled. The Store must be closed.
// The URL is one of
//
//	redis://user:password@host:6379/0     one server; rediss:// with TLS
//	unix:///run/redis.sock                one server on this machine
//	redis+cluster://user:password@host:6379?addr=host2:6379&addr=host3:6379
//	redis+sentinel://host:26379/0?master_name=main&username=user&password=password&addr=host2:26379
//
// rediss+cluster:// and rediss+sentinel:// use TLS, too, and Options.TLS configures it. A redis:// URL with addr
// parameters is a cluster's, one with a master_name is Sentinel's. In a Sentinel's URL user:password@ before the host is
// for Sentinel; the parameters username and password are for Redis.
//
// go-redis' options can follow as parameters (pool_size=20, read_timeout=100ms). Connections that were idle for 30 s are not
// used again (conn_max_idle_time). An error says what is wrong, and quotes nothing of the URL but names of parameters.
func Open(url string, o Options) (*Store, error) {
	client, sentinel, err := o.connect(url)
	if err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	o.TLS = nil // the client has it now; newStore refuses it, because it also serves New
	s, err := o.newOwnStore(client)
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	s.close, s.sentinel, s.detectsDead = client.Close, sentinel, detectsDeadConns(client)
	return s, nil
}

// detectsDeadConns reports whether go-redis notices that the server has closed an idle connection, before it uses the
// connection again. On a cluster and on Windows that is not known, so the result is false.
func detectsDeadConns(client redis.UniversalClient) bool {
	c, ok := client.(*redis.Client)
	return ok && runtime.GOOS != "windows" && (c.Options().TLSConfig == nil || c.Options().Protocol == resp2)
}

// newOwnStore returns a Store on the client that Open made. The URL may have set time-outs, so the client is checked.
func (o Options) newOwnStore(client redis.UniversalClient) (*Store, error) {
	budget, err := check(client)
	if err != nil {
		return nil, fmt.Errorf("redisstore: the URL's parameters do not suit a cache:\n%w", err)
	}
	return o.newStore(client, budget)
}

// errURL is for a URL about which nothing can be said without quoting it.
var errURL = errors.New("the URL cannot be read; write redis://user:password@host:6379/0, " +
	"and %-encode what the password has of : / ? # [ ] @ %")

// connect makes the client that the URL describes. Errors have our own wording: net/url and go-redis quote the part
// that they cannot parse, which may be part of a password.
func (o *Options) connect(raw string) (client redis.UniversalClient, behind *sentinel, err error) {
	u, err := url.Parse(raw)
	if err != nil || u.Fragment != "" || u.Opaque != "" || strings.Contains(u.Path+u.RawQuery, "@") {
		return nil, nil, errURL
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil { // go-redis would ignore what it cannot parse
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

// singleClient makes the client of redis://, rediss:// and unix://.
func (o *Options) singleClient(u *url.URL) (redis.UniversalClient, error) {
	if err := checkDatabase(u); err != nil {
		return nil, err
	}
	if u.Scheme == "unix" && strings.TrimSpace(u.Path) == "" {
		return nil, errors.New("the URL names no unix socket path; write unix:///run/redis.sock")
	}
	parsed, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, parameter(u, func(s string) error { _, err := redis.ParseURL(s); return err })
	}
	if parsed.TLSConfig, err = o.tlsConfig(u.Scheme, parsed.TLSConfig); err != nil {
		return nil, err
	}
	setSingleDefaults(parsed)
	return redis.NewClient(parsed), nil
}

// clusterClient makes the client of redis+cluster://.
func (o *Options) clusterClient(u *url.URL) (redis.UniversalClient, error) {
	if strings.Trim(u.Path, "/0") != "" {
		return nil, errors.New("the URL's path names a database; a cluster has only one: drop the path")
	}
	parsed, err := redis.ParseClusterURL(u.String())
	if err != nil {
		return nil, parameter(u, func(s string) error { _, err := redis.ParseClusterURL(s); return err })
	}
	if parsed.TLSConfig, err = o.tlsConfig("redis+cluster", parsed.TLSConfig); err != nil {
		return nil, err
	}
	setClusterDefaults(parsed)
	return redis.NewClusterClient(parsed), nil
}

// failoverClient makes the client of redis+sentinel://, and the hook that explains Sentinel's errors.
func (o *Options) failoverClient(u *url.URL) (redis.UniversalClient, *sentinel, error) {
	if err := checkDatabase(u); err != nil {
		return nil, nil, err
	}
	parsed, err := redis.ParseFailoverURL(u.String())
	switch {
	case err != nil:
		return nil, nil, parameter(u, func(s string) error { _, err := redis.ParseFailoverURL(s); return err })
	case parsed.MasterName == "":
		return nil, nil, errors.New("the URL's parameters name no master; add ?master_name=… as Sentinel knows it")
	case parsed.RouteByLatency || parsed.RouteRandomly || parsed.ReplicaOnly || parsed.UseDisconnectedReplicas:
		return nil, nil, errors.New("the URL's parameters read from replicas, which lag behind purges; " +
			"drop route_by_latency, route_randomly, replica_only and use_disconnected_replicas")
	}
	if parsed.TLSConfig, err = o.tlsConfig("redis+sentinel", parsed.TLSConfig); err != nil {
		return nil, nil, err
	}
	setFailoverDefaults(parsed)
	client := redis.NewFailoverClient(parsed)
	behind := &sentinel{master: parsed.MasterName}
	client.AddHook(behind)
	return client, behind, nil
}

// checkDatabase refuses a path that is not a number: go-redis would use database 0.
func checkDatabase(u *url.URL) error {
	path := strings.Trim(u.Path, "/")
	if _, err := strconv.Atoi(path); u.Scheme != "unix" && path != "" && err != nil {
		return errors.New("the URL's path, after the host, is no database number; use /0, for example")
	}
	return nil
}

// parameter says which parameter of the URL go-redis does not accept: it tries them one at a time. A name that go-redis does
// not know may be the rest of a password that contains "&", so it is not quoted. Its position is given instead.
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

// tlsConfig returns the TLS configuration of a client that Open makes, or nil without TLS. The caller's configuration
// wins; the URL supplies what it leaves open. A configuration that would have no effect is an error, because the caller
// believes that the connections are encrypted.
func (o *Options) tlsConfig(scheme string, ofURL *tls.Config) (*tls.Config, error) {
	switch {
	case o.TLS == nil:
		return ofURL, nil
	case scheme == "unix":
		return nil, errors.New("Options.TLS is set and a Unix socket has no TLS; leave TLS out, or use a rediss:// URL")
	case ofURL == nil:
		return nil, fmt.Errorf("Options.TLS is set and the URL has no TLS; write %s:// at its start, or leave TLS out",
			strings.Replace(scheme, "redis", "rediss", 1))
	}
	config := o.TLS.Clone()
	config.ServerName = cmp.Or(config.ServerName, ofURL.ServerName)
	config.MinVersion = cmp.Or(config.MinVersion, ofURL.MinVersion)
	config.InsecureSkipVerify = config.InsecureSkipVerify || ofURL.InsecureSkipVerify
	return config, nil
}

// dialFunc is what go-redis dials with.
type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// keepAlive is what go-redis uses for the connections that it dials itself.
const keepAlive = 5 * time.Minute

// tlsDialer returns a dialer for TLS connections that go-redis can check before it reuses them. Nil leaves the dialing to
// go-redis.
//
// go-redis checks an idle connection by peeking at its socket: if there is something to read, or the end, it discards the
// connection. It cannot do that with a *tls.Conn. That check is only valid if the server sends nothing unsolicited, so
// session tickets are off, and RESP3, with its push messages, gets no such dialer.
func tlsDialer(config *tls.Config, timeout time.Duration, protocol int) dialFunc {
	if config == nil || protocol != resp2 {
		return nil
	}
	config = config.Clone()
	config.ClientSessionCache = nil // so that no session ticket arrives on an idle connection
	d := &tls.Dialer{NetDialer: &net.Dialer{Timeout: timeout, KeepAlive: keepAlive}, Config: config}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return checkedConn{conn.(*tls.Conn)}, nil
	}
}

// checkedConn is a TLS connection that gives go-redis access to its socket.
type checkedConn struct{ *tls.Conn }

// SyscallConn lets go-redis treat it like an unencrypted connection.
func (c checkedConn) SyscallConn() (syscall.RawConn, error) {
	conn, ok := c.NetConn().(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return conn.SyscallConn()
}
