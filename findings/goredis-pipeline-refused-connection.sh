#!/usr/bin/env bash
# go-redis v9.23.0 with redis-server (7.0.15 here): when a pipeline needs a new connection and the server refuses it with
# a reply, only Exec returns the error. The commands of the pipeline have no error and the zero value, as if Redis had
# answered "" to each. So a program that ignores Exec's error and looks at each command, which is enough when the server
# dies or a command fails, takes a SET for done and a GET for empty. A command sent alone does return the error.
#
# Source: github.com/redis/go-redis/v9, redis.go, (*baseClient).withConn and generalProcessPipeline.
# Output seen:
#	pipeline: Exec WRONGPASS; SET "" <nil>; GET "" <nil>
#	alone:    SET WRONGPASS
#	killed:   Exec failed; SET failed; GET failed
set -euo pipefail
command -v redis-server >/dev/null || apt-get install -y --no-install-recommends redis-server >/dev/null

dir=$(mktemp -d)
port=$((20000 + RANDOM % 20000))
redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$dir" >/dev/null &
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
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

func client(addr, password string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, Password: password, MaxRetries: -1, DialerRetries: 1})
}

func pipeline(c *redis.Client) (exec error, set *redis.StatusCmd, get *redis.StringCmd) {
	ctx := context.Background()
	p := c.Pipeline()
	set, get = p.Set(ctx, "key", "value", 0), p.Get(ctx, "key")
	_, exec = p.Exec(ctx)
	return exec, set, get
}

func first(err error) string {
	if err == nil {
		return "<nil>"
	}
	return strings.Fields(err.Error())[0]
}

func outcome(err error) string {
	if err == nil {
		return "<nil>"
	}
	return "failed"
}

func main() {
	ctx, addr := context.Background(), os.Args[1]
	admin := client(addr, "")
	for admin.Ping(ctx).Err() != nil {
		time.Sleep(10 * time.Millisecond)
	}
	if err := admin.ConfigSet(ctx, "requirepass", "new").Err(); err != nil {
		panic(err)
	}
	c := client(addr, "old")
	exec, set, get := pipeline(c)
	fmt.Printf("pipeline: Exec %s; SET %q %s; GET %q %s\n", first(exec), set.Val(), first(set.Err()), get.Val(), first(get.Err()))
	fmt.Printf("alone:    SET %s\n", first(c.Set(ctx, "key", "value", 0).Err()))
	exec, set, get = pipeline(client("127.0.0.1:1", ""))
	fmt.Printf("killed:   Exec %s; SET %s; GET %s\n", outcome(exec), outcome(set.Err()), outcome(get.Err()))
}
GO
go mod tidy >/dev/null 2>&1
go run . "127.0.0.1:$port" | tee out
diff out - <<'WANT'
pipeline: Exec WRONGPASS; SET "" <nil>; GET "" <nil>
alone:    SET WRONGPASS
killed:   Exec failed; SET failed; GET failed
WANT
