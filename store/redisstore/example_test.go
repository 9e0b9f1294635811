package redisstore_test

import (
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store/redisstore"
)

// A client of one's own, which other code may share.
func ExampleTune() {
	o := &redis.Options{Addr: "redis.internal:6379", PoolSize: 50}
	redisstore.Tune(o)
	client := redis.NewClient(o)
	defer client.Close()
	_, err := redisstore.New(client, redisstore.Options{Prefix: "shop"})
	fmt.Println(err, o.ReadTimeout, o.PoolSize)
	// Output: <nil> 50ms 50
}
