package cache

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// String returns the policy in the form that [ParsePolicy] reads. User, Skip and VaryBy are code and are left out; the
// names of the latter two are not.
func (p Policy) String() string {
	words := []string{p.Class.String()}
	add := func(key, value string) { words = append(words, key+"="+value) }
	duration := func(key string, d time.Duration) {
		if d != 0 {
			add(key, d.String())
		}
	}
	list := func(key string, items []string) {
		if len(items) > 0 {
			add(key, quoteList(items))
		}
	}
	name := func(key, name string) {
		if name != "" {
			add(key, quoteList([]string{name}))
		}
	}
	duration("ttl", p.TTL)
	duration("near", p.NearTTL)
	duration("swr", p.StaleWhileRevalidate)
	if p.StaleIfError < 0 {
		add("sie", "off")
	} else {
		duration("sie", p.StaleIfError)
	}
	list("vary", p.Vary)
	list("cookies", p.Cookies)
	name("by", p.VaryByName)
	if names, only := p.Query.Names(); only {
		add("query", quoteList(names))
	} else if !p.Query.Raw() {
		add("except", quoteList(names))
	}
	list("tags", p.Tags)
	list("pass", p.Pass)
	name("skip", p.SkipName)
	if p.MaxBody != 0 {
		add("max-body", strconv.FormatInt(p.MaxBody, 10))
	}
	if p.MaxRuns != 0 {
		add("max-runs", strconv.Itoa(p.MaxRuns))
	}
	if len(p.StatusTTL) > 0 {
		add("status", statusText(p.StatusTTL))
	}
	if p.Client != "" {
		list("client", strings.Split(p.Client, ", "))
	}
	if p.IgnoreAuthorization {
		words = append(words, "ignore-authorization")
	}
	if p.RFC9111 {
		words = append(words, "rfc9111")
	}
	return strings.Join(words, " ")
}

func statusText(ttls map[int]time.Duration) string {
	var items []string
	for _, status := range slices.Sorted(maps.Keys(ttls)) {
		items = append(items, fmt.Sprintf("%d:%s", status, ttls[status]))
	}
	return strings.Join(items, ",")
}

// quoteList joins the items with commas and quotes those that would not be read back as one.
func quoteList(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		if quoted[i] = item; item == "" || strings.ContainsFunc(item, special) {
			quoted[i] = strconv.Quote(item)
		}
	}
	return strings.Join(quoted, ",")
}

func special(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune("\",#\\\uFFFD\u0085\u00a0", r)
}
