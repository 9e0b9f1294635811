package redisstore

import (
	"context"
	"net"

	"github.com/redis/go-redis/v9"
)

// line returns a client with one connection of its own to the Redis that has the purge log. hangUp ends it at once,
// whatever it is waiting for, and so does the end of ctx. A UniversalClient that tells no options is used as it is.
func (s *Store) dedicatedConn(ctx context.Context) (conn redis.Cmdable, closeConn func(), err error) {
	node, err := s.logNode(ctx)
	if err != nil {
		return nil, nil, err
	}
	if node == nil {
		return s.client, func() {}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	client := redis.NewClient(s.dedicatedOptions(ctx, *node.Options()))
	stop := context.AfterFunc(ctx, func() {
		defer func() { _ = recover() }() // the connection may be the caller's own kind, and is of no use any more
		_ = client.Close()
	})
	return client, func() {
		stop()
		cancel() // a dial under way
		_ = client.Close()
	}, nil
}

// host returns the client of the node that has the purge log, or nil if nobody can tell.
func (s *Store) logNode(ctx context.Context) (*redis.Client, error) {
	switch c := s.client.(type) {
	case *redis.Client:
		return c, nil
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, s.log.name)
	case *redis.Ring:
		return c.GetShardClientForKey(s.log.name)
	}
	return nil, nil
}

// lineOptions are a client's, for a client that is used for one read at a time and thrown away when that fails.
func (s *shared) dedicatedOptions(ctx context.Context, o redis.Options) *redis.Options {
	o.PoolSize = 2 // go-redis dials on in the background after as many failures in a row
	o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns, o.PipelinePoolSize = 0, 0, 0, -1
	o.MaxRetries, o.DialerRetries = -1, 1
	o.Limiter, o.ClientSideCacheConfig, o.PushNotificationProcessor = nil, nil, nil
	o.MaintNotificationsConfig = maintenanceOff(nil)
	o.ContextTimeoutEnabled = true
	dial := o.Dialer // go-redis gives it a context that does not end with the client
	o.Dialer = func(dialling context.Context, network, addr string) (net.Conn, error) {
		dialling, cancel := context.WithCancel(dialling)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		conn, err := dial(dialling, network, addr)
		return conn, s.sentinel.explain(err)
	}
	if greet := o.OnConnect; greet != nil {
		o.OnConnect = func(ctx context.Context, conn *redis.Conn) error { return asConnError(greet(ctx, conn)) }
	}
	return &o
}
