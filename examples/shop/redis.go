package main

import (
	"context"
	"net/url"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store/redisstore"
)

// silent keeps go-redis from logging every failed connection: the cache reports faults as events.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func hushRedis() { redis.SetLogger(silent{}) }

// openRedis opens the store at the URL, or one in an embedded Redis if there is no URL. It is no error if the server does not
// answer: until it does, handlers run. The caller must call end.
func openRedis(url string) (store *redisstore.Store, end func(), err error) {
	stop := func() {}
	if url == "" {
		if url, stop, err = embedRedis(); err != nil {
			return nil, nil, err
		}
	}
	store, err = redisstore.Open(url, redisstore.Options{Prefix: "shop"})
	if err != nil {
		stop()
		return nil, nil, err
	}
	return store, func() { store.Close(); stop() }, nil
}

// embedRedis starts a Redis inside this process. Its data end with the process.
func embedRedis() (url string, stop func(), err error) {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		return "", nil, err
	}
	clock := time.NewTicker(time.Second)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-clock.C:
				server.FastForward(time.Second) // its keys expire only when FastForward says that time has passed
			case <-done:
				return
			}
		}
	}()
	return "redis://" + server.Addr(), func() { clock.Stop(); close(done); server.Close() }, nil
}

// redisName is the banner's name for the Redis: its URL without a password.
func redisName(redisURL string) string {
	if redisURL == "" {
		return "embedded (REDIS_URL is not set)"
	}
	u, err := url.Parse(redisURL)
	if err != nil {
		return "REDIS_URL"
	}
	return u.Redacted()
}
