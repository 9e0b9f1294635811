package process

import (
	"fmt"
	"testing"

	"github.com/larder-go/cache"
)

var rfc9111 = cache.Policy{Class: cache.SharedGlobal, RFC9111: true}

// contestants are all who answer from memory, and the bare handlers that they are held against.
var contestants = []contestant{
	{name: "bare-assign", bare: true, open: bareAssign},
	{name: "bare-set", bare: true, open: bareSet},
	{name: "ttlcache", open: byHand},
	{name: "larder", open: larder(hour, nearStores[0])},
	{name: "larder-rfc9111", open: larder(rfc9111, nearStores[0])},
	{name: "larder-otter", open: larder(hour, nearStores[1])},
	{name: "larder-near", open: larderNear},
	{name: "echo-bare", bare: true, open: bareEcho},
	{name: "larder-echo", open: larderEcho},
	{name: "echo-http-cache", open: echoHTTPCache},
	{name: "gin-bare", bare: true, open: bareGin},
	{name: "gin-cache", open: ginCache},
	{name: "fiber-bare", bare: true, open: bareFiber},
	{name: "fiber-cache", open: fiberCache},
}

// BenchmarkHit is what a hit of 1 KiB costs: of one page, and of 10,000 in turn.
func BenchmarkHit(b *testing.B) {
	for _, keys := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			for _, c := range contestants {
				if keys > 1 && c.bare {
					continue
				}
				b.Run(c.name, func(b *testing.B) {
					s := newSite(keys, kib)
					visitAll(b, s, c.ready(b, s)())
				})
			}
		})
	}
}
