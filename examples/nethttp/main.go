// Command nethttp caches routes of a net/http app: one in memory and, if REDIS_URL names a Redis, one in both.
//
//	go run ./examples/nethttp
//	curl -i 'http://127.0.0.1:8081/time?zone=Asia/Tokyo'   # again: the same time, and Cache-Status: larder; hit
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
	_ "time/tzdata"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store/redisstore"
)

func main() {
	mux := http.NewServeMux()

	// Processes may differ: memory alone. Only zone is in the key, and the handler sees no other query parameter.
	minute := cache.Middleware(cache.Policy{Class: cache.SharedGlobal, TTL: time.Minute, Query: keying.Only("zone")})
	mux.Handle("GET /time", minute(http.HandlerFunc(showTime)))

	// All processes agree: Redis, with a copy in memory for five seconds.
	if url := os.Getenv("REDIS_URL"); url != "" {
		far, err := redisstore.Open(url, redisstore.Options{Prefix: "larder-example"})
		if err != nil {
			log.Fatal(err)
		}
		c, err := cache.New(cache.Options{Far: far})
		if err != nil {
			log.Fatal(err)
		}
		hot := c.Middleware(cache.Policy{Class: cache.HotShared, TTL: time.Minute, Query: keying.Only("zone")})
		mux.Handle("GET /agreed", hot(http.HandlerFunc(showTime)))
	}

	log.Print("try: curl -i 'http://127.0.0.1:8081/time?zone=Asia/Tokyo'")
	log.Fatal(http.ListenAndServe("127.0.0.1:8081", mux))
}

func showTime(w http.ResponseWriter, r *http.Request) {
	zone, err := time.LoadLocation(r.FormValue("zone"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest) // not stored: only 200 is, unless the policy says otherwise
		return
	}
	log.Print("the handler runs for ", zone)
	fmt.Fprintln(w, time.Now().In(zone).Format(time.RFC1123Z))
}
