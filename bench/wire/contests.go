package main

// A contest is measured in one way, and its contestants do the same thing in ways of their own.
type contest struct {
	name        string
	clients     int  // connections at once
	pages       int  // that are asked for; 0: one
	pause       int  // milliseconds at most that a client waits before it asks again; 0: none, the server is saturated
	timed       bool // within the server, too
	redis       bool // every visit has a redis-server of its own
	verify      func(*visit) error
	measure     func(*visit) (sample, error)
	contestants []contestant
}

// A contestant is a way to answer.
type contestant struct {
	name   string
	build  func(*app) (server, error)
	keeps  bool   // the handler does not run for a hit
	reads  bool   // an answer to a request alone takes a read of Redis
	beside string // the contestant whose memory its own is compared with
}

// A peer is a row: more of them need no more than their module and a function that sets them up.
var contests = []contest{
	{name: "Loopback", clients: 64, verify: verifyHit, measure: hits, contestants: []contestant{
		{name: "bare", build: web(bare)},
		{name: "larder", build: web(larderMemory), keeps: true},
		{name: "bare-echo", build: web(bareEcho)},
		{name: "larder-echo", build: web(larderEcho), keeps: true},
		{name: "gin-cache", build: web(ginCache), keeps: true},
		{name: "echo-http-cache", build: web(echoHTTPCache), keeps: true},
		{name: "fiber-cache", build: fiberCache, keeps: true}, // fasthttp, not net/http
	}},
	{name: "Redis/clients=64", clients: 64, redis: true, verify: verifyHit, measure: hits, contestants: onRedis},
	{name: "Redis/clients=64/pages=256", clients: 64, pages: mostPages, redis: true, verify: verifyHit, measure: hits, contestants: onRedis},
	// Under a load that both can carry the wait is the server's, and not that for a turn.
	{name: "Redis/clients=64/paced", clients: 64, pages: mostPages, pause: 4, timed: true, redis: true, verify: verifyHit, measure: hits, contestants: []contestant{
		{name: "bare", build: web(bare)},
		{name: "larder", build: web(larderFleet), keeps: true, reads: true},
		{name: "larder-near", build: web(larderHot), keeps: true},
	}},
	{name: "Redis/clients=1", clients: 1, redis: true, verify: verifyHit, measure: hits, contestants: []contestant{
		{name: "plain-get", build: web(plainGet), reads: true},
		{name: "larder", build: web(larderFleet), keeps: true, reads: true},
	}},
	{name: "Stream", clients: 1, verify: verifyStream, measure: streams, contestants: []contestant{
		{name: "bare", build: web(streamed(false))},
		{name: "larder", build: web(larderStreamed(false)), beside: "bare"},
		{name: "bare-declared", build: web(streamed(true))},
		{name: "larder-declared", build: web(larderStreamed(true)), beside: "bare-declared"},
	}},
}

// onRedis is measured with one page, which all clients ask for at the same time, and with more pages than clients: who shares
// a read among those who ask for the same has nothing to share there.
var onRedis = []contestant{
	{name: "plain-get", build: web(plainGet), reads: true},
	{name: "auto-pipeline", build: web(autoPipeline), reads: true},
	{name: "auto-pipeline-unordered", build: web(autoPipelineUnordered), reads: true},
	{name: "rueidis", build: web(rueidisGet), reads: true},
	{name: "larder", build: web(larderFleet), keeps: true, reads: true},
	{name: "larder-near", build: web(larderHot), keeps: true},
	{name: "gin-cache", build: web(ginCacheRedis), keeps: true, reads: true},
	{name: "go-redis-cache", build: web(goRedisCacheGet), keeps: true, reads: true},
	{name: "go-redis-cache-once", build: web(goRedisCacheOnce), keeps: true, reads: true}, // one read for who asks at once
}

const mostPages = 256

// find returns the contestant of the name that lines have, such as Loopback/larder, and its contest.
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
