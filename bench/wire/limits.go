package main

import (
	"context"
	"net/http"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// The limits do without a cache what a cache would do at best: write the answer, or get its body from Redis and write it.

func bare(a *app) (http.Handler, error) { return a, nil }

func bareEcho(a *app) (http.Handler, error) { return a.echo(), nil }

// getter writes the answer with a body that get has from Redis, where its key is the query.
func (a *app) getter(get func(context.Context, string) ([]byte, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.runs.Add(1)
		body, err := get(r.Context(), r.URL.RawQuery)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		write(w, body)
	})
}

// client is go-redis with its defaults, and as many connections as there are clients at most: with its default of ten for
// each core they would wait for one another. What it reads is there.
func (a *app) client() (*redis.Client, error) {
	o, err := redis.ParseURL(a.redis)
	if err != nil {
		return nil, err
	}
	o.PoolSize = poolSize
	c := redis.NewClient(o)
	_, err = c.Pipelined(context.Background(), func(p redis.Pipeliner) error {
		for page := range mostPages {
			p.Set(context.Background(), query(page), body, 0)
		}
		return nil
	})
	return c, err
}

const poolSize = 128

func plainGet(a *app) (http.Handler, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	return a.getter(func(ctx context.Context, key string) ([]byte, error) { return c.Get(ctx, key).Bytes() }), nil
}

func autoPipeline(a *app) (http.Handler, error) { return a.pipelined(nil) }

// autoPipelineUnordered has several batches under way at once, which go-redis offers to those who need no order.
func autoPipelineUnordered(a *app) (http.Handler, error) {
	o := redis.DefaultBlockingAutoPipelineOptions()
	o.Unordered, o.MaxConcurrentBatches = true, 4
	return a.pipelined(o)
}

// pipelined takes go-redis' own choice of options for nil.
func (a *app) pipelined(o *redis.AutoPipelineOptions) (http.Handler, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	p, err := c.AutoPipelineWithOptions(o)
	if err != nil {
		return nil, err
	}
	return a.getter(func(ctx context.Context, key string) ([]byte, error) { return p.Get(ctx, key).Bytes() }), nil
}

// rueidisGet is without rueidis' cache in the client: Do, which pipelines what is asked at the same time.
func rueidisGet(a *app) (http.Handler, error) {
	if _, err := a.client(); err != nil {
		return nil, err
	}
	o, err := rueidis.ParseURL(a.redis)
	if err != nil {
		return nil, err
	}
	c, err := rueidis.NewClient(o)
	if err != nil {
		return nil, err
	}
	return a.getter(func(ctx context.Context, key string) ([]byte, error) {
		return c.Do(ctx, c.B().Get().Key(key).Build()).AsBytes()
	}), nil
}
