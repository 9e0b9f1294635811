package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// An exchange is one row: what the origin sends, and what the proxy does with it. play returns the text of the cell.
type exchange struct {
	what string
	play func(p *play) string
}

// sent is an exchange that checks whether a response with these header fields is stored.
func sent(fields ...string) exchange {
	what := "`" + strings.Join(fields, "`, `") + "`"
	return exchange{what, func(p *play) string {
		p.sends(fields...)
		return p.kept()
	}}
}

// old makes a response that a cache may consider fresh for long, by a heuristic (RFC 9111 §4.2.2).
const old = "Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT"

var exchanges = []exchange{
	{"no field about caching", func(p *play) string { p.sends(); return p.kept() }},
	{"`ETag: W/\"1\"` alone", func(p *play) string { p.sends(`ETag: W/"1"`); return p.kept() }},
	{"`Last-Modified` long ago, alone", func(p *play) string { p.sends(old); return p.kept() }},
	sent("Cache-Control: max-age=60"),
	sent("Cache-Control: no-cache", `ETag: "1"`),
	sent("Cache-Control: private, max-age=60"),
	{"`Cache-Control: max-age=60`, `Set-Cookie: a=1`", func(p *play) string {
		p.sends("Cache-Control: max-age=60", "Set-Cookie: a=1")
		p.kept()
		var second reply
		if !p.spared(func() { second = p.get() }) {
			return "not kept"
		}
		return either(second.Get("Set-Cookie") != "", "**kept, and all get the cookie**", "kept without the cookie")
	}},
	{"`Cache-Control: max-age=60`, and cookies in the request", func(p *play) string {
		p.sends("Cache-Control: max-age=60")
		return p.kept("Cookie: a=1")
	}},
	{"`Cache-Control: max-age=60` to a request with Authorization; another comes without", func(p *play) string {
		p.sends("Cache-Control: max-age=60")
		p.get("Authorization: Basic YTpi")
		return either(p.spared(func() { p.get() }), "**gets it**", "asks")
	}},
	{"`Cache-Control: max-age=60`, and the client says `Cache-Control: no-cache`", func(p *play) string {
		p.sends("Cache-Control: max-age=60")
		p.get()
		return p.again("Cache-Control: no-cache")
	}},
	{"`max-age=2, max-age=60` after four seconds", afterFourSeconds("Cache-Control: max-age=2, max-age=60")},
	{"`max-age=60, max-age=2` after four seconds", afterFourSeconds("Cache-Control: max-age=60, max-age=2")},
	{"`max-age=60, s-maxage=2` after four seconds", afterFourSeconds("Cache-Control: max-age=60, s-maxage=2")},
	{"`max-age=60` and `Expires` in the past", func(p *play) string {
		p.sends("Cache-Control: max-age=60", "Expires: Sat, 01 Jan 2000 00:00:00 GMT")
		return p.kept()
	}},
	{"`max-age=6` with `Age: 4`, after four seconds", afterFourSeconds("Cache-Control: max-age=6", "Age: 4")},
	{"`max-age=60` with `Age: 10`: the Age that clients get after four seconds", func(p *play) string {
		p.sends("Cache-Control: max-age=60", "Age: 10")
		p.kept()
		pass(4 * time.Second)
		var got reply
		if !p.spared(func() { got = p.get() }) {
			return "not kept"
		}
		return fmt.Sprint(strings.Join(got.Values("Age"), " and "), either(got.Values("Age") == nil, "none", ""))
	}},
	{"`CDN-Cache-Control: max-age=60` with `Cache-Control: no-store`", func(p *play) string {
		p.sends("CDN-Cache-Control: max-age=60", "Cache-Control: no-store")
		return p.kept()
	}},
	{"`Surrogate-Control: max-age=60` with `Cache-Control: no-store`", func(p *play) string {
		p.sends("Surrogate-Control: max-age=60", "Cache-Control: no-store")
		return p.kept()
	}},
	{"`max-age=2, stale-while-revalidate=60`, after four seconds", func(p *play) string {
		p.sends("Cache-Control: max-age=2, stale-while-revalidate=60")
		if p.kept() != "kept" {
			return "not kept"
		}
		pass(4 * time.Second)
		return p.freshness()
	}},
	{"`max-age=2, stale-if-error=60`, and 503 after four seconds", func(p *play) string {
		p.sends("Cache-Control: max-age=2, stale-if-error=60")
		p.kept()
		pass(4 * time.Second)
		p.sendsStatus(http.StatusServiceUnavailable)
		return fmt.Sprint(p.get().status)
	}},
	{"`max-age=2` with `ETag: W/\"1\"`, after four seconds", func(p *play) string {
		p.sends("Cache-Control: max-age=2", `ETag: W/"1"`)
		p.kept()
		before := p.asked()
		pass(4 * time.Second)
		p.get()
		pass(500 * time.Millisecond)
		tag := p.last().Header.Get("If-None-Match")
		return either(p.asked() == before, "not asked", either(tag != "", "validates", "asks anew"))
	}},
	{"404 with `max-age=60`", func(p *play) string {
		p.sendsStatus(http.StatusNotFound, "Cache-Control: max-age=60")
		return p.kept()
	}},
	{"404 without", func(p *play) string { p.sendsStatus(http.StatusNotFound); return p.kept() }},
	{"`Vary: Accept-Language`, and the same language", func(p *play) string {
		p.sends("Cache-Control: max-age=60", "Vary: Accept-Language")
		return p.kept("Accept-Language: de")
	}},
	{"… and another language", func(p *play) string {
		p.sends("Cache-Control: max-age=60", "Vary: Accept-Language")
		p.get("Accept-Language: de")
		return either(p.again("Accept-Language: en") == "kept", "**the wrong one**", "asks")
	}},
	{"`Vary: *`", func(p *play) string {
		p.sends("Cache-Control: max-age=60", "Vary: *")
		return p.kept()
	}},
	{"`Vary: Accept-Language, *`", func(p *play) string {
		p.sends("Cache-Control: max-age=60", "Vary: Accept-Language, *")
		return p.kept("Accept-Language: de")
	}},
	{"`ETag: \"1\"`; the client says `If-None-Match: \"0\", \"1\"`", condition(`"1"`, `"0", "1"`)},
	{"`ETag: W/\"1\"`; the client says `If-None-Match: W/\"1\"`", condition(`W/"1"`, `W/"1"`)},
	{"`ETag: \"1\"`; the client says `If-None-Match: W/\"1\"`", condition(`"1"`, `W/"1"`)},
	{"`ETag: \"1\"` and gzip by the proxy: the ETag that clients get", compressed(`"1"`)},
	{"`ETag: W/\"1\"` and gzip by the proxy", compressed(`W/"1"`)},
	{"a range of a kept 200", ranged("Cache-Control: max-age=60", `ETag: "1"`)},
	{"… with `Accept-Ranges: bytes`", ranged("Cache-Control: max-age=60", `ETag: "1"`, "Accept-Ranges: bytes")},
	{"a range of what is not kept yet: the origin is asked for", func(p *play) string {
		p.sends("Cache-Control: max-age=60", `ETag: "1"`, "Accept-Ranges: bytes")
		p.get("Range: bytes=0-9")
		return either(p.last().Header.Get("Range") == "", "the whole", "the range")
	}},
	{"`Cache-Status: larder; hit; ttl=5`: clients get", func(p *play) string {
		p.sends("Cache-Control: max-age=60", "Cache-Status: larder; hit; ttl=5")
		p.get()
		got := p.get()
		return "`" + strings.Join(got.Values("Cache-Status"), ", ") + "`"
	}},
	{"`max-age=60`, and a POST to the URL", func(p *play) string {
		p.sends("Cache-Control: max-age=60")
		p.get()
		p.do(http.MethodPost)
		return either(p.again() == "kept", "kept", "forgotten")
	}},
	{"`max-age=60`, and a HEAD after the GET", func(p *play) string {
		p.sends("Cache-Control: max-age=60")
		p.get()
		return either(p.spared(func() { p.do(http.MethodHead) }), "from the cache", "asks")
	}},
}

// afterFourSeconds repeats the request after four seconds.
func afterFourSeconds(fields ...string) func(p *play) string {
	return func(p *play) string {
		p.sends(fields...)
		if p.kept() != "kept" {
			return "not kept"
		}
		pass(4 * time.Second)
		return p.freshness()
	}
}

// freshness repeats the request and says how the proxy has treated the stored response.
func (p *play) freshness() string {
	before := p.asked()
	got := p.get()
	pass(500 * time.Millisecond) // a proxy may revalidate in the background
	switch {
	case p.asked() == before:
		return "fresh"
	case got.body == bodyOf(before+1):
		return "stale"
	}
	return "stale, served while it is refreshed"
}

// condition requests a stored response with If-None-Match.
func condition(tag, asked string) func(p *play) string {
	return func(p *play) string {
		p.sends("Cache-Control: max-age=60", "ETag: "+tag)
		if p.kept() != "kept" {
			return "not kept"
		}
		var got reply
		spared := p.spared(func() { got = p.get("If-None-Match: " + asked) })
		return fmt.Sprint(got.status, either(spared, "", ", asks"))
	}
}

// compressed returns the entity tag of a response that the proxy compresses, and the status of a request with that tag.
func compressed(tag string) func(p *play) string {
	return func(p *play) string {
		p.sends("Cache-Control: max-age=60", "ETag: "+tag)
		got := p.get("Accept-Encoding: gzip")
		if got.Get("Content-Encoding") != "gzip" {
			return "not compressed"
		}
		again := p.get("Accept-Encoding: gzip", "If-None-Match: "+got.Get("Etag"))
		return fmt.Sprintf("%s; with that again: %d", either(got.Get("Etag") == "", "none", "`"+got.Get("Etag")+"`"), again.status)
	}
}

// ranged requests a range of a stored response.
func ranged(fields ...string) func(p *play) string {
	return func(p *play) string {
		p.sends(fields...)
		if p.kept() != "kept" {
			return "not kept"
		}
		var got reply
		spared := p.spared(func() { got = p.get("Range: bytes=0-9") })
		return fmt.Sprint(got.status, either(spared, "", ", asks"))
	}
}
