package main

// A contest has contestants that do the same thing in different ways, and one way to measure them.
type contest struct {
	name        string
	clients     int  // connections at once
	pages       int  // that are requested; 0: one
	pause       int  // how long a client waits before its next request, at most, in milliseconds; 0: the server is saturated
	timed       bool // responses are timed within the server, too
	redis       bool // every visit has its own redis-server
	verify      func(*visit) error
	measure     func(*visit) (sample, error)
	contestants []contestant
}

// A contestant is one way to respond.
type contestant struct {
	name   string
	build  func(*app) (server, error)
	caches bool   // the handler does not run for a hit
	reads  bool   // a single request takes a read of Redis
	beside string // the contestant that its memory is compared with
}

// Another library is one more line here. It needs its module, and a function in contestants.go that sets it up.
var contests = []contest{
	{name: "Loopback", clients: 64, verify: verifyHit, measure: hits, contestants: []contestant{
		{name: "bare", build: web(bare)},
		{name: "larder", build: web(larderMemory), caches: true},
		{name: "bare-echo", build: web(bareEcho)},
		{name: "larder-echo", build: web(larderEcho), caches: true},
		{name: "gin-cache", build: web(ginCache), caches: true},
		{name: "echo-http-cache", build: web(echoHTTPCache), caches: true},
		{name: "fiber-cache", build: fiberCache, caches: true}, // fasthttp, not net/http
	}},
	{name: "Redis/clients=64", clients: 64, redis: true, verify: verifyHit, measure: hits, contestants: onRedis},
	{name: "Redis/clients=64/pages=256", clients: 64, pages: mostPages, redis: true, verify: verifyHit, measure: hits, contestants: onRedis},
	// All contestants can carry this load, so clients wait for the server, not in its queue.
	{name: "Redis/clients=64/paced", clients: 64, pages: mostPages, pause: 4, timed: true, redis: true, verify: verifyHit, measure: hits, contestants: []contestant{
		{name: "bare", build: web(bare)},
		{name: "larder", build: web(larderFleet), caches: true, reads: true},
		{name: "larder-near", build: web(larderHot), caches: true},
	}},
	{name: "Redis/clients=1", clients: 1, redis: true, verify: verifyHit, measure: hits, contestants: []contestant{
		{name: "plain-get", build: web(plainGet), reads: true},
		{name: "larder", build: web(larderFleet), caches: true, reads: true},
	}},
	{name: "Stream", clients: 1, verify: verifyStream, measure: streams, contestants: []contestant{
		{name: "bare", build: web(streamed(false))},
		{name: "larder", build: web(larderStreamed(false)), beside: "bare"},
		{name: "bare-declared", build: web(streamed(true))},
		{name: "larder-declared", build: web(larderStreamed(true)), beside: "bare-declared"},
	}},
}

// onRedis are measured with one page, which all clients request at the same time, and with more pages than clients. With many
// pages, contestants that share one read among equal requests have nothing to share.
var onRedis = []contestant{
	{name: "plain-get", build: web(plainGet), reads: true},
	{name: "auto-pipeline", build: web(autoPipeline), reads: true},
	{name: "auto-pipeline-unordered", build: web(autoPipelineUnordered), reads: true},
	{name: "rueidis", build: web(rueidisGet), reads: true},
	{name: "larder", build: web(larderFleet), caches: true, reads: true},
	{name: "larder-near", build: web(larderHot), caches: true},
	{name: "gin-cache", build: web(ginCacheRedis), caches: true, reads: true},
	{name: "go-redis-cache", build: web(goRedisCacheGet), caches: true, reads: true},
	{name: "go-redis-cache-once", build: web(goRedisCacheOnce), caches: true, reads: true}, // concurrent requests share a read
}

const mostPages = 256

// find returns the contestant with a name as in the results, such as Loopback/larder, and its contest.
func find(name string) (c contest, one contestant, ok bool) {
	for _, c := range contests {
		for _, one := range c.contestants {
			if c.name+"/"+one.name == name {
				return c, one, true
			}
		}
	}
	return contest{}, contestant{}, false
}
