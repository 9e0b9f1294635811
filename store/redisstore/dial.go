package redisstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"time"
)

// dialFunc is what go-redis dials with.
type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// keepAlive is go-redis' own.
const keepAlive = 5 * time.Minute

// secured is the TLS configuration of a client: what the URL calls for, or the caller's own along with that. It is nil
// without TLS.
func (o *Options) tlsConfig(url *tls.Config) (*tls.Config, error) {
	switch {
	case o.TLS == nil:
		return url, nil
	case url == nil:
		return nil, errors.New("Options.TLS is set and the URL has no TLS; write rediss:// at its start, or leave TLS out")
	}
	config := o.TLS.Clone()
	config.ServerName = cmp.Or(config.ServerName, url.ServerName)
	config.MinVersion = cmp.Or(config.MinVersion, url.MinVersion)
	config.InsecureSkipVerify = config.InsecureSkipVerify || url.InsecureSkipVerify
	return config, nil
}

// dialer returns what dials with TLS so that go-redis sees which connections of its pool are dead, as it does without TLS:
// nothing is sent unasked on one that is at rest, so that whatever is there to be read, or its end, makes it useless. Nil
// leaves dialling to go-redis: without TLS, and where Redis may send messages on its own account.
func tlsDialer(config *tls.Config, timeout time.Duration, protocol int) dialFunc {
	if config == nil || protocol != resp2 {
		return nil
	}
	config = config.Clone()
	config.ClientSessionCache = nil // a session's ticket would be news on a connection at rest
	d := &tls.Dialer{NetDialer: &net.Dialer{Timeout: timeout, KeepAlive: keepAlive}, Config: config}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return checkedConn{conn.(*tls.Conn)}, nil
	}
}

// watched is a TLS connection whose socket go-redis looks at before it is used again.
type checkedConn struct{ *tls.Conn }

func (c checkedConn) SyscallConn() (syscall.RawConn, error) {
	conn, ok := c.NetConn().(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return conn.SyscallConn()
}
