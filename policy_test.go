package cache_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
)

// policies are policies and how they are written.
var policies = []struct {
	text   string
	policy cache.Policy
}{
	{"shared-global", cache.Policy{Class: cache.SharedGlobal}},
	{"per-user ttl=1m30s", cache.Policy{Class: cache.PerUser, TTL: 90 * time.Second}},
	{"hot-shared ttl=1m0s near=5s swr=30s vary=Accept-Language query=page,sort tags=product:{id}", cache.Policy{
		Class: cache.HotShared, TTL: time.Minute, NearTTL: 5 * time.Second, StaleWhileRevalidate: 30 * time.Second,
		Vary: []string{"Accept-Language"}, Query: keying.Only("page", "sort"), Tags: []string{"product:{id}"}}},
	{"fleet-shared sie=2h0m0s", cache.Policy{Class: cache.FleetShared, StaleIfError: 2 * time.Hour}},
	{"shared-global sie=off", cache.Policy{Class: cache.SharedGlobal, StaleIfError: -1}},
	{"shared-global ttl=1ns swr=1µs", cache.Policy{Class: cache.SharedGlobal, TTL: 1, StaleWhileRevalidate: time.Microsecond}},
	{"shared-global query=", cache.Policy{Class: cache.SharedGlobal, Query: keying.Only()}},
	{`shared-global query=""`, cache.Policy{Class: cache.SharedGlobal, Query: keying.Only("")}},
	{"shared-global except=utm_*,gclid", cache.Policy{Class: cache.SharedGlobal, Query: keying.Except("utm_*", "gclid")}},
	{"shared-global vary=A,B cookies=theme pass=User-Agent", cache.Policy{Class: cache.SharedGlobal,
		Vary: []string{"A", "B"}, Cookies: []string{"theme"}, Pass: []string{"User-Agent"}}},
	{"shared-global client=no-cache", cache.Policy{Class: cache.SharedGlobal, Client: "no-cache"}},
	{"shared-global client=max-age=60,must-revalidate rfc9111", cache.Policy{Class: cache.SharedGlobal, Client: "max-age=60, must-revalidate", RFC9111: true}},
	{`shared-global client="max-age=60,private"`, cache.Policy{Class: cache.SharedGlobal, Client: "max-age=60,private"}},
	{`shared-global client="private=\"X-A"," X-B\""`, cache.Policy{Class: cache.SharedGlobal, Client: `private="X-A,  X-B"`}},
	{"shared-global vary=A by=tenant pass=User-Agent skip=preview", cache.Policy{Class: cache.SharedGlobal,
		Vary: []string{"A"}, Pass: []string{"User-Agent"}, VaryByName: "tenant", SkipName: "preview"}},
	{`shared-global by="a b,c" skip="#"`, cache.Policy{Class: cache.SharedGlobal, VaryByName: "a b,c", SkipName: "#"}},
	{"per-user by=role skip=x=y", cache.Policy{Class: cache.PerUser, VaryByName: "role", SkipName: "x=y"}},
	{"shared-global max-runs=64", cache.Policy{Class: cache.SharedGlobal, MaxRuns: 64}},
	{"shared-global max-body=65536 status=301:1h0m0s,404:10s", cache.Policy{Class: cache.SharedGlobal, MaxBody: 65536,
		StatusTTL: map[int]time.Duration{404: 10 * time.Second, 301: time.Hour}}},
	{"shared-global ignore-authorization", cache.Policy{Class: cache.SharedGlobal, IgnoreAuthorization: true}},
	{"shared-global rfc9111", cache.Policy{Class: cache.SharedGlobal, RFC9111: true}},
	{`shared-global tags="a b","c,d","#e","f\"g","\\","\n","\xff","é","\u00a0",a=b,ä`, cache.Policy{Class: cache.SharedGlobal,
		Tags: []string{"a b", "c,d", "#e", `f"g`, `\`, "\n", "\xff", "é", "\u00a0", "a=b", "ä"}}},
}

func TestAPolicyIsReadAsItIsPrinted(t *testing.T) {
	for _, tt := range policies {
		got, err := cache.ParsePolicy(tt.text)
		if err != nil || !reflect.DeepEqual(got, tt.policy) {
			t.Errorf("ParsePolicy(%s) = %+v, %v; want %+v", tt.text, got, err, tt.policy)
		}
		again, err := cache.ParsePolicy(tt.policy.String())
		if err != nil || !reflect.DeepEqual(again, tt.policy) {
			t.Errorf("%+v is printed as %s and read as %+v, %v", tt.policy, tt.policy, again, err)
		}
	}
}

func TestAPolicyIsPrintedInOneWay(t *testing.T) {
	for _, tt := range policies {
		if strings.Contains(tt.text, `"é"`) {
			continue // is quoted without need
		}
		if got := tt.policy.String(); got != tt.text {
			t.Errorf("String = %s, want %s", got, tt.text)
		}
	}
	for text, want := range map[string]string{
		"  shared-global\t ttl=60s  # for a while": "shared-global ttl=1m0s",
		"shared-global max-body=64KiB":             "shared-global max-body=65536",
		"shared-global max-body=2MiB":              "shared-global max-body=2097152",
		"shared-global ttl=60s swr=1m":             "shared-global ttl=1m0s swr=1m0s",
		"shared-global swr=1m ttl=60s":             "shared-global ttl=1m0s swr=1m0s",
		`shared-global tags="a"`:                   "shared-global tags=a",
		"shared-global status=404:1m,301:1h":       "shared-global status=301:1h0m0s,404:1m0s",
		"shared-global vary=A#B":                   "",
	} {
		p, err := cache.ParsePolicy(text)
		if want == "" {
			if err == nil {
				t.Errorf("ParsePolicy(%q) = %s, want an error", text, p)
			}
			continue
		}
		if err != nil || p.String() != want {
			t.Errorf("ParsePolicy(%q) = %s, %v; want %s", text, p, err, want)
		}
	}
}

func TestUserIsNotPrinted(t *testing.T) {
	p := cache.Policy{Class: cache.PerUser, User: keying.FromContext()}
	if p.String() != "per-user" {
		t.Errorf("String = %s", p)
	}
}
