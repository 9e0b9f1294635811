#!/usr/bin/env bash
# go-redis v9.23.0 with redis-server (7.0.15 here): before it uses a pooled connection, go-redis peeks at the socket and
# replaces one that the server has closed. It cannot do so with TLS, whose connections hide their socket. So where a
# server or a balancer closes idle connections, over TCP nobody notices, and over TLS each pooled connection fails one
# command with EOF: after a quiet time all of a burst fail together.
#
# Source: github.com/redis/go-redis/v9, internal/pool/conn_check.go, connCheck.
# Output seen:
#	redis://:  0 of 16 commands failed after the server had closed the idle connections
#	rediss://: 16 of 16 commands failed after the server had closed the idle connections
set -euo pipefail
command -v redis-server >/dev/null || apt-get install -y --no-install-recommends redis-server >/dev/null

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module finding

go 1.25

require github.com/redis/go-redis/v9 v9.23.0
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const clients = 16

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// certificate writes a self-signed certificate for 127.0.0.1 and its key, for the server.
func certificate() {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der := must(x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key))
	write("cert.pem", "CERTIFICATE", der)
	write("key.pem", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))
}

func write(name, kind string, der []byte) {
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		panic(err)
	}
}

func freePort() string {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// burst sends one command from each of several goroutines, which meet first so that each needs a connection of its own.
func burst(c *redis.Client) (failed int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			if err := c.Do(context.Background(), "ping").Err(); err != nil {
				mu.Lock()
				failed++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return failed
}

// failures fills the pool, lets the server close what is idle, and counts the commands that fail then.
func failures(o *redis.Options) int {
	o.MaxRetries, o.MinIdleConns, o.PoolSize = -1, clients, clients
	c := redis.NewClient(o)
	defer c.Close()
	ctx := context.Background()
	for i := 0; c.Ping(ctx).Err() != nil; i++ {
		if i > 500 {
			panic("the server does not answer")
		}
		time.Sleep(10 * time.Millisecond)
	}
	for c.PoolStats().IdleConns < clients {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(3 * time.Second) // the server closes after one second, and looks now and then
	return burst(c)
}

func main() {
	certificate()
	plain, secure := freePort(), freePort()
	server := exec.Command("redis-server", "--port", plain, "--tls-port", secure, "--bind", "127.0.0.1", "--save", "",
		"--timeout", "1", "--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-auth-clients", "no")
	if err := server.Start(); err != nil {
		panic(err)
	}
	defer server.Wait()
	defer server.Process.Kill()
	const text = "%-10s %d of %d commands failed after the server had closed the idle connections\n"
	fmt.Printf(text, "redis://:", failures(&redis.Options{Addr: "127.0.0.1:" + plain}), clients)
	fmt.Printf(text, "rediss://:", failures(&redis.Options{
		Addr: "127.0.0.1:" + secure, TLSConfig: &tls.Config{InsecureSkipVerify: true}, // the server is this program's own
	}), clients)
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee out
diff out - <<'WANT'
redis://:  0 of 16 commands failed after the server had closed the idle connections
rediss://: 16 of 16 commands failed after the server had closed the idle connections
WANT
