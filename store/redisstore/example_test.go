package redisstore_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store/redisstore"
)

// A Redis over TLS. It is compiled, not run.
func ExampleOpen() {
	far, err := redisstore.Open("rediss://redis.internal:6379", redisstore.Options{Prefix: "shop"})

	if err != nil {
		log.Fatal(err)
	}
	defer far.Close()
}

// Roots of one's own. It is compiled, not run.
func ExampleOpen_roots() {
	roots := x509.NewCertPool()

	far, err := redisstore.Open("rediss://redis.internal:6379", redisstore.Options{
		Prefix: "shop",
		TLS:    &tls.Config{RootCAs: roots},
	})

	if err != nil {
		log.Fatal(err)
	}
	defer far.Close()
}

// A client of one's own, which other code may share.
func ExampleTune() {
	o := &redis.Options{Addr: "redis.internal:6379", PoolSize: 50}
	redisstore.Tune(o)
	far, err := redisstore.New(redis.NewClient(o), redisstore.Options{Prefix: "shop"})

	fmt.Println(far != nil, err, o.ReadTimeout, o.PoolSize)
	// Output: true <nil> 50ms 50
}
