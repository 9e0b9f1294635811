package main

import (
	"flag"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	liveFlag   = flag.String("live", "", "URL of a cache to play the cases on, in real time")
	originFlag = flag.String("origin-listen", "127.0.0.1:0", "where the origin of that cache listens")
	atOnceFlag = flag.Int("at-once", 100, "how many cases are played at a time on that cache: they pause a lot")
)

// A cache that runs elsewhere can be played on, this one on a Redis for example:
//
//	go run ./examples/proxy -origin http://127.0.0.1:3000 -class hot-shared -redis redis://127.0.0.1:6379
//	go test ./examples/proxy -run Live -v -live http://127.0.0.1:8080 -origin-listen 127.0.0.1:3000
func TestLive(t *testing.T) {
	if *liveFlag == "" {
		t.Skip("no cache to play on; name one with -live, and where its origin is to listen with -origin-listen")
	}
	listener, err := net.Listen("tcp", *originFlag)
	if err != nil {
		t.Fatal(err)
	}
	o := newOrigin()
	o.group.Go(func() { o.serve(listener) })
	defer o.close()
	defer listener.Close()
	client := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: *atOnceFlag, IdleConnTimeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	g := &stage{origin: o, base: strings.TrimSuffix(*liveFlag, "/"), via: client}

	list := cases(t)
	s := newScore(list)
	places := make(chan struct{}, *atOnceFlag)
	var group sync.WaitGroup
	for _, c := range list {
		places <- struct{}{}
		group.Go(func() {
			s.note(c, g.play(t.Context(), c))
			<-places
		})
	}
	group.Wait()
	s.report(t, known)
}
