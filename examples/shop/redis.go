package main

import (
	"context"
	"net/url"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store/redisstore"
)

// silent keeps go-redis from logging every connection that fails: the cache tells of faults by events.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func hushRedis() { redis.SetLogger(silent{}) }

// openRedis opens the store at the URL, or one in a Redis of our own if there is no URL. A server that does not answer is
// no error: until it does, handlers answer.
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

// embedRedis starts a Redis inside this process. It keeps nothing beyond the process's life.
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
				server.FastForward(time.Second) // it lets keys expire only when it is told that time has passed
			case <-done:
				return
			}
		}
	}()
	return "redis://" + server.Addr(), func() { clock.Stop(); close(done); server.Close() }, nil
}

// redisName is what the banner calls the Redis, without a password that may be in its URL.
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
