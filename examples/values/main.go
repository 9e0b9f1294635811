// Command values caches data, not responses, and prints when it loads them.
//
//	go run ./examples/values
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/cache"
)

// A host is a cached value. The cache stores its exported fields. Callers share it, so they must not change it.
type host struct {
	Name  string
	Addrs []string
}

func main() {
	c, err := cache.New(cache.Options{})
	if err != nil {
		log.Fatal(err)
	}
	policy := cache.Policy{Class: cache.SharedGlobal, TTL: 10 * time.Minute}
	hosts := cache.NewValues(c, "host", policy, lookUp)
	ctx := context.Background()

	fmt.Println("ten at once: one load")
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() { show(hosts.Get(ctx, "localhost")) })
	}
	all.Wait()

	fmt.Println("once more: no load")
	show(hosts.Get(ctx, "localhost"))

	fmt.Println("after a purge: a load")
	if err := hosts.Purge(ctx, "localhost"); err != nil {
		log.Fatal(err)
	}
	show(hosts.Get(ctx, "localhost"))

	fmt.Println("an error: the caller's, and not kept")
	show(hosts.Get(ctx, ""))
}

// lookUp loads a value. It could call AddTags, SetTTL and NoStore with ctx.
func lookUp(ctx context.Context, name string) (host, error) {
	if name == "" {
		return host{}, errors.New("a host has a name")
	}
	fmt.Println("  the load runs for", name)
	addrs, err := net.DefaultResolver.LookupHost(ctx, name)
	slices.Sort(addrs)
	return host{name, addrs}, err
}

func show(h host, err error) {
	if err != nil {
		fmt.Println("  error:", err)
		return
	}
	fmt.Println(" ", h.Name, h.Addrs)
}
