package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

const micro = 1e6 // microseconds in a second

// rows are the table: what is compared, and the bounds that must hold.
var rows = []row{
	{"memory hit, 1 page, beside a handler that calls Header().Set",
		times(hit(1, "larder"), hit(1, "bare-set")), atMost(1, "×")},
	{"memory hit, 10,000 pages, beside a look-up in a ttlcache by hand",
		times(hit(10_000, "larder"), hit(10_000, "ttlcache")), atMost(1, "×")},
	{"memory hit, allocations",
		largest(value(hit(1, "larder"), allocs, 1), value(hit(10_000, "larder"), allocs, 1)), atMost(0, "")},
	{"memory hit of 64 KiB, beside one of 1 KiB",
		times("Body/size=64KiB/larder", "Body/size=1KiB/larder"), atMost(1.05, "×")},
	{"memory hit through echo, beside a bare echo handler",
		times(hit(1, "larder-echo"), hit(1, "echo-bare")), atMost(1.2, "×")},

	{"hit of gin-cache, 1 page, beside Larder's", times(hit(1, "gin-cache"), hit(1, "larder")), atLeast(1.5, "×")},
	{"hit of gin-cache, 10,000 pages", times(hit(10_000, "gin-cache"), hit(10_000, "larder")), atLeast(1.5, "×")},
	{"hit of Fiber's cache, 1 page", times(hit(1, "fiber-cache"), hit(1, "larder")), atLeast(1, "×")},
	{"hit of Fiber's cache, 10,000 pages", times(hit(10_000, "fiber-cache"), hit(10_000, "larder")), atLeast(1, "×")},
	{"hit of echo-http-cache, 1 page, beside Larder's through echo",
		times(hit(1, "echo-http-cache"), hit(1, "larder-echo")), atLeast(40, "×")},
	{"hit of echo-http-cache, 10,000 pages",
		times(hit(10_000, "echo-http-cache"), hit(10_000, "larder-echo")), atLeast(40, "×")},

	{"304 beside a hit with its body", times("Kind/304", "Kind/200"), atMost(1, "×")},
	{"HEAD beside a hit with its body", times("Kind/HEAD", "Kind/200"), atMost(1, "×")},

	{"loopback: requests a second, memory hit beside a bare handler",
		rate("Loopback/larder", "Loopback/bare"), atLeast(0.97, "×")},
	{"loopback: p99", ratio("p99-µs", "Loopback/larder", "Loopback/bare"), atMost(1.05, "×")},
	{"Redis hit, 64 clients, 1 page, beside a handler with one plain GET", onRedis("", "plain-get"), atLeast(1.35, "×")},
	{"… beside one with AutoPipeline", onRedis("", "auto-pipeline"), atLeast(0.97, "×")},
	{"… beside gin-cache", onRedis("", "gin-cache"), atLeast(2.5, "×")},
	{"… beside go-redis/cache", onRedis("", "go-redis-cache"), atLeast(2.5, "×")},
	{"Redis hit, 64 clients, 256 pages, beside a handler with one plain GET", onRedis("/pages=256", "plain-get"), atLeast(1.35, "×")},
	{"… beside one with AutoPipeline", onRedis("/pages=256", "auto-pipeline"), atLeast(0.97, "×")},
	{"… beside gin-cache", onRedis("/pages=256", "gin-cache"), atLeast(2.5, "×")},
	{"… beside go-redis/cache", onRedis("/pages=256", "go-redis-cache"), atLeast(2.5, "×")},
	{"Redis hit, 1 client: p50 beside a handler with one plain GET",
		ratio("p50-µs", redis(1, "larder"), redis(1, "plain-get")), atMost(1.05, "×")},

	{"near hit of hot-shared, 1 page, beside a memory hit",
		times(hit(1, "larder-near"), hit(1, "larder")), atMost(1.03, "×")},
	{"near hit of hot-shared, 10,000 pages",
		times(hit(10_000, "larder-near"), hit(10_000, "larder")), atMost(1.03, "×")},
	{"… p99 under load within the server, beside that of a Redis hit",
		ratio("server-p99-µs", paced("larder-near"), paced("larder")), atMost(0.25, "×")},
	{"… p99 under load as clients see it", ratio("p99-µs", paced("larder-near"), paced("larder")), atMost(0.25, "×")},
	{"… p99 as clients see it, beside that of a bare handler", ratio("p99-µs", paced("larder-near"), paced("bare")), atMost(1.05, "×")},

	{"miss, above its handler", above(duration, "Miss/larder/store=empty", "Miss/bare", micro), atMost(4, "µs")},
	{"miss, allocations above its handler's",
		above(allocs, "Miss/larder/store=empty", "Miss/bare", 1), atMost(12, "")},
	{"miss into a full store beside one into an empty",
		times("Miss/larder/store=full", "Miss/larder/store=empty"), atMost(1.3, "×")},
	{"stream of 100 MiB over the cap: throughput beside a bare handler",
		ratio("B/s", "Stream/larder", "Stream/bare"), atLeast(0.98, "×")},
	{"… extra memory", value("Stream/larder", "extra-MiB", 1), atMost(2, "MiB")},

	{"entry to msgpack", value("Codec/encode", duration, micro), atMost(0.5, "µs")},
	{"… allocations", value("Codec/encode", allocs, 1), atMost(1, "")},
	{"entry from msgpack", value("Codec/decode", duration, micro), atMost(1, "µs")},
	{"… allocations", value("Codec/decode", allocs, 1), atMost(5, "")},
	{"… bytes allocated; its body has 1,024", value("Codec/decode", "B/op", 1), atMost(1023, "B")},

	{"hit on a URL of 1,000 variants by the policy, beside one of 1",
		times("Variants/by=policy/variants=1000", "Variants/by=policy/variants=1"), atMost(1.1, "×")},
	{"… by Vary", times("Variants/by=vary/variants=1000", "Variants/by=vary/variants=1"), atMost(1.1, "×")},

	{"hits a second, 1 page, on 2 cores beside 1", scale(1, "larder"), atLeast(1.8, "×")},
	{"… 100,000 pages", scale(100_000, "larder"), atLeast(1.8, "×")},

	{"hit among 1,000,000 entries beside one among 1,000",
		times(growth(1_000_000, "larder"), growth(1_000, "larder")), atMost(2, "×")},
	{"longest hit while 100,000 entries expire, above one while nothing happens",
		above("max-pause-µs", "Pause/larder/expiry", "Pause/larder/nothing", 1e-3), atMost(1, "ms")},
	{"longest hit while 100,000 are evicted for others, above one while others come and all stay",
		above("max-pause-µs", "Pause/larder/eviction", "Pause/larder/filling", 1e-3), atMost(1, "ms")},
	{"memory an entry takes beyond its bytes, among 1,000,000",
		value(growth(1_000_000, "larder"), "overhead-B/entry", 1), atMost(500, "B")},

	{"hit ratio: behind otter's W-TinyLFU, worst of nine traces", largest(behindOtter()...), atMost(2, "points")},
	{"hit ratio with scans: of otter's lead over LRU, worst of three",
		smallest(leadOverLRU()...), atLeast(0.67, "×")},
}

func hit(pages int, who string) string { return fmt.Sprintf("Hit/keys=%d/%s", pages, who) }

func redis(clients int, who string) string { return fmt.Sprintf("Redis/clients=%d/%s", clients, who) }

func paced(who string) string { return "Redis/clients=64/paced/" + who }

// onRedis is the rate of Larder's Redis hits divided by the other contestant's, with 64 clients.
func onRedis(pages, other string) measure {
	clients := "Redis/clients=64" + pages + "/"
	return rate(clients+"larder", clients+other)
}

func growth(entries int, who string) string { return fmt.Sprintf("Growth/entries=%d/%s", entries, who) }

// scale is the throughput of two cores divided by that of one.
func scale(keys int, who string) measure {
	name := fmt.Sprintf("Scale/keys=%d/%s/cores=", keys, who)
	return times(name+"1", name+"2")
}

var exponents = []string{"0.8", "1.0", "1.2"}

func hitRatio(exponent, kind, who string) string {
	return fmt.Sprintf("Ratio/zipf=%s/%s/capacity=1000/%s", exponent, kind, who)
}

func behindOtter() (all []measure) {
	for _, s := range exponents {
		for _, kind := range kinds {
			all = append(all, above("hit-%", hitRatio(s, kind.name, "otter"), hitRatio(s, kind.name, "larder"), 1))
		}
	}
	return all
}

// leadOverLRU is Larder's lead over LRU on traces with scans, divided by otter's lead.
func leadOverLRU() (all []measure) {
	for _, s := range exponents {
		lru := hitRatio(s, "scan", "lru")
		all = append(all, func(f figures, round int) (float64, bool) {
			own, ok := above("hit-%", hitRatio(s, "scan", "larder"), lru, 1)(f, round)
			lead, ok2 := above("hit-%", hitRatio(s, "scan", "otter"), lru, 1)(f, round)
			return own / lead, ok && ok2 && lead > 0
		})
	}
	return all
}

// A row of the table is a figure and what it must be.
type row struct {
	figure string
	value  measure
	must   bound
}

// A bound is what a figure must be.
type bound struct {
	least bool // limit is the least that the figure may be; otherwise the most
	limit float64
	unit  string
}

func atMost(limit float64, unit string) bound  { return bound{false, limit, unit} }
func atLeast(limit float64, unit string) bound { return bound{true, limit, unit} }

func (b bound) String() string {
	sign := "≤"
	if b.least {
		sign = "≥"
	}
	return sign + " " + b.of(strconv.FormatFloat(b.limit, 'f', -1, 64))
}

// of appends the bound's unit to a number.
func (b bound) of(number string) string { return strings.TrimSpace(number + " " + b.unit) }

func (b bound) holds(v float64) bool {
	if b.least {
		return v >= b.limit
	}
	return v <= b.limit
}

// A verdict is a row with its values, one for each round in which it was measured.
type verdict struct {
	row
	values []float64
}

// judge computes the table's rows from the figures.
func judge(f figures) []verdict {
	verdicts := make([]verdict, len(rows))
	for i, r := range rows {
		verdicts[i].row = r
		for round := 0; ; round++ {
			v, ok := r.value(f, round)
			if !ok {
				break
			}
			verdicts[i].values = append(verdicts[i].values, v)
		}
	}
	return verdicts
}

// fails reports whether the median, rounded to two decimals, breaks the bound. A row that was not measured does not fail.
func (v verdict) fails() bool {
	return len(v.values) > 0 && !v.must.holds(math.Round(median(v.values)*100)/100)
}

func (v verdict) String() string {
	measured, met := "not measured", "–"
	if len(v.values) > 0 {
		measured, met = v.measured(), "yes"
		if v.fails() {
			met = "**no**"
		}
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", v.figure, v.must, measured, met)
}

// measured is the median and, if rounds differ, the smallest and the largest.
func (v verdict) measured() string {
	text := v.must.of(short(median(v.values)))
	if low, high := short(slices.Min(v.values)), short(slices.Max(v.values)); low != high {
		text += fmt.Sprintf(" (%s–%s)", low, high)
	}
	return text
}

// short formats a figure with the digits that matter.
func short(v float64) string {
	switch {
	case v == float64(int64(v)):
		return strconv.FormatInt(int64(v), 10)
	case v >= 100 || v <= -100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func table(verdicts []verdict) string {
	var b strings.Builder
	b.WriteString("| figure | must be | measured | met |\n|---|---|---|---|\n")
	for _, v := range verdicts {
		b.WriteString(v.String())
	}
	return b.String()
}
