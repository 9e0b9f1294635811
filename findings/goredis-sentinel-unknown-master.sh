#!/usr/bin/env bash
# go-redis v9.23.0 with redis-server (7.0.15 here): where Sentinel knows no master of the name, every command of a failover
# client fails with an error that errors.Is takes for redis.Nil, since Sentinel's reply to the question for the address is
# wrapped in the error of the dial. So a program that takes redis.Nil for "there is no such key" finds an empty Redis where it
# has reached none. A pipeline's commands have no error at all then: only Exec returns it. The same is so of whatever
# OnConnect returns.
#
# Source: github.com/redis/go-redis/v9, sentinel.go, (*sentinelFailover).MasterAddr and masterReplicaDialer.
# Output seen:
#	alone:     GET is redis.Nil: true
#	pipeline:  GET <nil>; Exec is redis.Nil: true
#	OnConnect: GET is redis.Nil: true
set -euo pipefail
command -v redis-server >/dev/null || apt-get install -y --no-install-recommends redis-server >/dev/null

dir=$(mktemp -d)
port=$((20000 + RANDOM % 20000))
printf 'port %s\nbind 127.0.0.1\ndir %s\n' "$port" "$dir" >"$dir/sentinel.conf"
redis-server "$dir/sentinel.conf" --sentinel >/dev/null &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$dir"' EXIT
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
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func main() {
	redis.SetLogger(quiet{})
	ctx, addr := context.Background(), os.Args[1]
	sentinel := redis.NewSentinelClient(&redis.Options{Addr: addr})
	for sentinel.Ping(ctx).Err() != nil {
		time.Sleep(10 * time.Millisecond)
	}
	c := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: "nobody", SentinelAddrs: []string{addr}, MaxRetries: -1, DialerRetries: 1,
	})
	fmt.Println("alone:     GET is redis.Nil:", errors.Is(c.Get(ctx, "key").Err(), redis.Nil))
	p := c.Pipeline()
	get := p.Get(ctx, "key")
	_, err := p.Exec(ctx)
	fmt.Printf("pipeline:  GET %v; Exec is redis.Nil: %v\n", get.Err(), errors.Is(err, redis.Nil))
	c = redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, DialerRetries: 1, OnConnect: func(context.Context, *redis.Conn) error { return redis.Nil },
	})
	fmt.Println("OnConnect: GET is redis.Nil:", errors.Is(c.Get(ctx, "key").Err(), redis.Nil))
}
GO
go mod tidy >/dev/null 2>&1
go run . "127.0.0.1:$port" | tee out
diff out - <<'WANT'
alone:     GET is redis.Nil: true
pipeline:  GET <nil>; Exec is redis.Nil: true
OnConnect: GET is redis.Nil: true
WANT
