package rfc9111_test

import (
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
)

// A judgement is one row: of an answer that came at now, "@-60" in its fields being the date 60 s before.
type judgement struct {
	name   string // with the section; RFC 9111 unless it says otherwise
	status int
	fields string // one a line
	cache  string // shared, private, or both; authorized: for a request that carried Authorization
	want   string // as written by verdict
}

var dateForm = regexp.MustCompile(`@-?[0-9]+`)

func (j judgement) header() http.Header {
	h := http.Header{}
	text := dateForm.ReplaceAllStringFunc(j.fields, func(at string) string {
		s, _ := strconv.Atoi(at[1:])
		return now.Add(time.Duration(s) * time.Second).Format(http.TimeFormat)
	})
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		h.Add(name, strings.TrimPrefix(value, " "))
	}
	return h
}

// run judges with the change, in each of the caches.
func (j judgement) run(t *testing.T, change func(a *rfc9111.Answer)) {
	t.Helper()
	for _, kind := range []string{"shared", "private"} {
		if !strings.Contains(j.cache, kind) && !strings.Contains(j.cache, "both") {
			continue
		}
		a := rfc9111.Answer{Status: j.status, Header: j.header(), Private: kind == "private", Received: now}
		a.Authorized = strings.Contains(j.cache, "authorized")
		change(&a)
		before := a.Header.Clone()
		if got := verdict(rfc9111.Judge(a)); got != j.want {
			t.Errorf("%s: %d %q in a %s cache is %q, want %q", j.name, j.status, j.fields, kind, got, j.want)
		}
		if !reflect.DeepEqual(a.Header, before) {
			t.Errorf("%s: %v has become %v", j.name, before, a.Header)
		}
	}
}

var refusals = [...]string{"", "no-store", "private", "malformed", "authorization", "status", "partial", "varying"}

// verdict is a refusal, or for how long the answer is fresh and what else there is to say.
func verdict(v rfc9111.Verdict) string {
	if v.Refusal != rfc9111.Storable {
		return refusals[v.Refusal]
	}
	words := []string{v.Fresh.String()}
	if v.Age > 0 {
		words = append(words, "age "+v.Age.String())
	}
	if v.NeverStale {
		words = append(words, "never stale")
	}
	if len(v.Omit) > 0 {
		words = append(words, "omit "+strings.Join(v.Omit, " "))
	}
	if len(v.Vary) > 0 {
		words = append(words, "vary "+strings.Join(v.Vary, " "))
	}
	return strings.Join(words, ", ")
}

func judge(t *testing.T, rows []judgement) {
	t.Helper()
	for _, j := range rows {
		j.run(t, func(*rfc9111.Answer) {})
	}
}

// TestStorable is §3, clause by clause.
func TestStorable(t *testing.T) {
	const minute = "Cache-Control: max-age=60"
	judge(t, []judgement{
		{"no-store (§5.2.2.5)", 200, "Cache-Control: no-store", "both", "no-store"},
		{"no-store beside what allows it (§5.2.2.5)", 200, "Cache-Control: public, max-age=60, NO-STORE", "both", "no-store"},
		{"no-store on another line (RFC 9110 §5.3)", 200, "Cache-Control: max-age=60\nCache-Control: no-store", "both", "no-store"},
		{"no-store in an argument (§5.2)", 200, `Cache-Control: max-age=60, foo="no-store"`, "both", "1m0s"},
		{"an unknown directive (§5.2.3)", 200, "Cache-Control: max-age=60, foo=bar, x-no-store", "both", "1m0s"},
		{"Pragma (§5.4)", 200, "Cache-Control: max-age=60\nPragma: no-cache", "both", "1m0s"},

		{"private (§5.2.2.7)", 200, "Cache-Control: private, max-age=60", "shared", "private"},
		{"private, its case (§5.2)", 200, "Cache-Control: PRIVATE, max-age=60", "shared", "private"},
		{"private and public (§5.2.2.7)", 200, "Cache-Control: public, private, max-age=60", "shared", "private"},
		{"private in a private cache (§5.2.2.7)", 200, "Cache-Control: private, max-age=60", "private", "1m0s"},
		{"private, qualified (§5.2.2.7)", 200, `Cache-Control: private="x-user, X-Name", max-age=60`, "shared", "1m0s, omit X-User X-Name"},
		{"private, qualified, in a private cache (§5.2.2.7)", 200, `Cache-Control: private="X-User", max-age=60`, "private", "1m0s"},
		{"private of no field (§5.2.2.7)", 200, `Cache-Control: private="", max-age=60`, "shared", "private"},
		{"private of what is no field (§5.2.2.7)", 200, `Cache-Control: private="X User", max-age=60`, "shared", "private"},
		{"private, both forms (§5.2.2.7)", 200, `Cache-Control: private="X-User", private, max-age=60`, "shared", "private"},

		{"no-cache (§5.2.2.4)", 200, "Cache-Control: no-cache", "both", "0s, never stale"},
		{"no-cache with a lifetime (§5.2.2.4)", 200, "Cache-Control: no-cache, max-age=60", "both", "0s, never stale"},
		{"no-cache, qualified (§5.2.2.4)", 200, `Cache-Control: no-cache="set-cookie", max-age=60`, "both", "1m0s, omit Set-Cookie"},
		{"no-cache, a token (§5.2.2.4)", 200, "Cache-Control: no-cache=Set-Cookie, max-age=60", "both", "1m0s, omit Set-Cookie"},
		{"no-cache of no field (§5.2.2.4)", 200, `Cache-Control: no-cache="", max-age=60`, "both", "0s, never stale"},
		{"both, qualified (§5.2.2.4, §5.2.2.7)", 200, `Cache-Control: private="A", no-cache="B", max-age=60`, "shared", "1m0s, omit B A"},

		{"must-understand, understood (§5.2.2.3)", 200, "Cache-Control: must-understand, no-store, max-age=60", "both", "1m0s"},
		{"must-understand without no-store (§5.2.2.3)", 200, "Cache-Control: must-understand, max-age=60", "both", "1m0s"},
		{"must-understand, 404 (§5.2.2.3)", 404, "Cache-Control: must-understand, no-store, max-age=60", "both", "1m0s"},
		{"must-understand, 308 (§5.2.2.3)", 308, "Cache-Control: must-understand, no-store, max-age=60", "both", "1m0s"},
		{"must-understand, 505 (§5.2.2.3)", 505, "Cache-Control: must-understand, no-store, max-age=60", "both", "1m0s"},
		{"must-understand, 226 (§5.2.2.3)", 226, "Cache-Control: must-understand, no-store, max-age=60", "both", "no-store"},
		{"must-understand, 299 (§5.2.2.3)", 299, "Cache-Control: must-understand, max-age=60", "both", "no-store"},
		{"must-understand, 306 (§5.2.2.3)", 306, "Cache-Control: must-understand, max-age=60", "both", "no-store"},
		{"must-understand, 418 (§5.2.2.3)", 418, "Cache-Control: must-understand, max-age=60", "both", "no-store"},
		{"must-understand, 499 (§5.2.2.3)", 499, "Cache-Control: must-understand, max-age=60", "both", "no-store"},
		{"must-understand, 599 (§5.2.2.3)", 599, "Cache-Control: must-understand, max-age=60", "both", "no-store"},
		{"must-understand, private (§5.2.2.7)", 200, "Cache-Control: must-understand, no-store, private", "shared", "private"},

		{"Authorization (§3.5)", 200, minute, "shared authorized", "authorization"},
		{"Authorization, nothing said (§3.5)", 200, "", "shared authorized", "authorization"},
		{"Authorization, public (§3.5)", 200, "Cache-Control: public, max-age=60", "shared authorized", "1m0s"},
		{"Authorization, s-maxage (§3.5)", 200, "Cache-Control: s-maxage=60", "shared authorized", "1m0s, never stale"},
		{"Authorization, s-maxage=0 (§3.5)", 200, "Cache-Control: s-maxage=0", "shared authorized", "0s, never stale"},
		{"Authorization, must-revalidate (§3.5)", 200, "Cache-Control: must-revalidate, max-age=60", "shared authorized", "1m0s, never stale"},
		{"Authorization, proxy-revalidate (§3.5: not listed)", 200, "Cache-Control: proxy-revalidate, max-age=60", "shared authorized", "authorization"},
		{"Authorization, an s-maxage of no time (§3.5)", 200, "Cache-Control: s-maxage=x", "shared authorized", "authorization"},
		{"Authorization, public and no-store (§3)", 200, "Cache-Control: public, no-store", "shared authorized", "no-store"},
		{"Authorization, private cache (§3.5)", 200, minute, "private authorized", "1m0s"},

		{"a status that is not cacheable (§3)", 302, "", "both", "status"},
		{"one with a validator (§3)", 302, "ETag: \"a\"\nLast-Modified: @-864000", "both", "status"},
		{"max-age (§3)", 302, minute, "both", "1m0s"},
		{"max-age=0 (§3)", 302, "Cache-Control: max-age=0", "both", "0s"},
		{"Expires (§3)", 302, "Expires: @60", "both", "1m0s"},
		{"Expires that is invalid (§3, §5.3)", 302, "Expires: 0", "both", "0s"},
		{"s-maxage (§3)", 302, "Cache-Control: s-maxage=60", "shared", "1m0s, never stale"},
		{"s-maxage=0 (§3)", 302, "Cache-Control: s-maxage=0", "shared", "0s, never stale"},
		{"s-maxage, if the cache is shared (§3)", 302, "Cache-Control: s-maxage=60", "private", "status"},
		{"public (§3)", 302, "Cache-Control: public", "both", "0s"},
		{"private, if the cache is not shared (§3)", 302, "Cache-Control: private", "private", "0s"},
		{"private, qualified (§3: not of the whole)", 302, `Cache-Control: private="A"`, "both", "status"},
		{"no-cache allows nothing (§3)", 302, "Cache-Control: no-cache", "both", "status"},
		{"must-revalidate allows nothing (§3)", 302, "Cache-Control: must-revalidate", "both", "status"},
		{"a stale window allows nothing (§3, RFC 5861 §3)", 302, "Cache-Control: stale-while-revalidate=60", "both", "status"},
		{"a stale window of no time allows nothing (§3, RFC 5861 §3)", 302, "Cache-Control: stale-while-revalidate=x", "both", "status"},
		{"an s-maxage of no time, if the cache is not shared (§3)", 302, "Cache-Control: s-maxage=x", "private", "status"},
		{"a max-age beside one of no time (§3, §4.2.1)", 302, "Cache-Control: max-age=60, stale-if-error=x", "both", "0s"},
		{"Expires beside a time that is none (§3, §4.2.1)", 302, "Cache-Control: stale-if-error=x\nExpires: @60", "both", "0s"},
		{"public beside a time that is none (§3, §4.2.1)", 302, "Cache-Control: public, max-age=x", "both", "0s"},
		{"immutable allows nothing (§3, RFC 8246 §2)", 302, "Cache-Control: immutable", "both", "status"},
		{"a status that is not final (§3, RFC 9110 §15.2)", 103, minute, "both", "status"},
		{"one that is not final, public (§3, RFC 9110 §15.2)", 100, "Cache-Control: public", "both", "status"},
		{"no status at all (§3)", 0, minute, "both", "status"},
		{"unknown 2xx (§3)", 299, minute, "both", "1m0s"},
		{"unknown 4xx (§3)", 499, minute, "both", "1m0s"},
		{"unknown 5xx (§3)", 599, minute, "both", "1m0s"},
		{"unknown 5xx, nothing said (§3)", 599, "", "both", "status"},
		{"unknown 5xx, public (§3)", 599, "Cache-Control: public", "both", "0s"},

		{"a part (§3.3)", 206, "Content-Range: bytes 0-4/10\n" + minute, "both", "1m0s"},
		{"a part, nothing said (RFC 9110 §15.3.7)", 206, "Content-Range: bytes 0-4/10", "both", "0s"},
		{"a part of unknown length (§3.3)", 206, "Content-Range: bytes 0-4/*\n" + minute, "both", "partial"},
		{"a part of other units (§3.3)", 206, "Content-Range: lines 0-4/10\n" + minute, "both", "partial"},
		{"a part of nothing (§3.3)", 206, "Content-Range: bytes 0-9/5\n" + minute, "both", "partial"},
		{"several parts (§3.3)", 206, "Content-Type: multipart/byteranges; boundary=a\n" + minute, "both", "partial"},
		{"two Content-Ranges (§3.3)", 206, "Content-Range: bytes 0-4/10\nContent-Range: bytes 5-9/10\n" + minute, "both", "partial"},
		{"a part, no-store (§3)", 206, "Content-Range: bytes 0-4/10\nCache-Control: no-store", "both", "no-store"},
		{"a Content-Range that says nothing (RFC 9110 §14.4)", 200, "Content-Range: bytes 0-4/10\n" + minute, "both", "1m0s"},
		{"no part (RFC 9110 §15.5.17: of a range that only its request names)", 416, "Content-Range: bytes */10\n" + minute, "both", "partial"},
		{"no part, public (RFC 9110 §15.5.17)", 416, "Cache-Control: public", "both", "partial"},
		{"304 (§3, §4.3.4)", 304, minute, "both", "partial"},

		{"what cannot be parsed (§5.2)", 200, "Cache-Control: max-age=60, =", "both", "malformed"},
		{"a line that cannot be parsed (§5.2)", 200, "Cache-Control: max-age=60\nCache-Control: no store", "both", "malformed"},
		{"a string that does not end (RFC 9110 §5.6.4)", 200, `Cache-Control: public, foo="max-age=60`, "both", "malformed"},
		{"a semicolon (§5.2)", 200, "Cache-Control: public; max-age=60", "both", "malformed"},
		{"blanks around = (§5.2)", 200, "Cache-Control: max-age = 60", "both", "malformed"},
	})
}

// TestHeuristicallyCacheable: the statuses that may be stored although nothing says so (§3, RFC 9110 §15.1).
func TestHeuristicallyCacheable(t *testing.T) {
	cacheable := []int{200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501} // and 206
	for status := 200; status < 1000; status++ {
		if slices.Contains([]int{http.StatusPartialContent, http.StatusNotModified, http.StatusRequestedRangeNotSatisfiable}, status) {
			continue
		}
		want := "status"
		if slices.Contains(cacheable, status) {
			want = "2h24m0s"
		}
		judge(t, []judgement{{"RFC 9110 §15.1", status, "Last-Modified: @-86400", "both", want}})
	}
}

// TestLifetimes is §4.2.1, what a lifetime is, and §4.2.4, when it must be kept to.
func TestLifetimes(t *testing.T) {
	judge(t, []judgement{
		{"nothing said (§4.2.1)", 200, "", "both", "0s"},
		{"max-age (§5.2.2.1)", 200, "Cache-Control: max-age=60", "both", "1m0s"},
		{"s-maxage is longer (§5.2.2.10)", 200, "Cache-Control: max-age=60, s-maxage=120", "shared", "2m0s, never stale"},
		{"s-maxage is longer, private (§5.2.2.10)", 200, "Cache-Control: max-age=60, s-maxage=120", "private", "1m0s"},
		{"s-maxage is shorter (§5.2.2.10)", 200, "Cache-Control: s-maxage=0, max-age=60", "shared", "0s, never stale"},
		{"s-maxage is shorter, private (§5.2.2.10)", 200, "Cache-Control: s-maxage=0, max-age=60", "private", "1m0s"},
		{"s-maxage before Expires (§5.2.2.10)", 200, "Cache-Control: s-maxage=9\nExpires: @60", "shared", "9s, never stale"},
		{"s-maxage, Expires, private (§5.2.2.10)", 200, "Cache-Control: s-maxage=9\nExpires: @60", "private", "1m0s"},
		{"s-maxage alone, private (§5.2.2.10)", 200, "Cache-Control: s-maxage=9\nLast-Modified: @-600", "private", "1m0s"},
		{"max-age before Expires (§5.3)", 200, "Cache-Control: max-age=60\nExpires: @3600", "both", "1m0s"},
		{"max-age before an Expires that is past (§5.3)", 200, "Cache-Control: max-age=60\nExpires: 0", "both", "1m0s"},
		{"max-age=0 before Expires (§5.3)", 200, "Cache-Control: max-age=0\nExpires: @3600", "both", "0s"},
		{"max-age before Last-Modified (§4.2.2)", 200, "Cache-Control: max-age=60\nLast-Modified: @-86400", "both", "1m0s"},
		{"the shorter of two (§4.2.1)", 200, "Cache-Control: max-age=60, max-age=5", "both", "5s"},
		{"the shorter of two lines (§4.2.1)", 200, "Cache-Control: max-age=5\nCache-Control: max-age=60", "both", "5s"},
		{"upper case (§5.2)", 200, "Cache-Control: MAX-AGE=60", "both", "1m0s"},
		{"quoted (§5.2)", 200, `Cache-Control: max-age="60"`, "both", "1m0s"},
		{"2^31 s and more (§1.2.2)", 200, "Cache-Control: max-age=9999999999999", "both", "596523h14m8s"},
		{"a max-age of no time (§4.2.1)", 200, "Cache-Control: max-age=x", "both", "0s"},
		{"a max-age of no time, and Expires (§4.2.1)", 200, "Cache-Control: max-age=1.5\nExpires: @60", "both", "0s"},
		{"a max-age of no time, and another (§4.2.1)", 200, "Cache-Control: max-age=60, max-age=-1", "both", "0s"},
		{"an s-maxage of no time (§4.2.1)", 200, "Cache-Control: s-maxage, max-age=60", "shared", "0s"},
		{"a stale window of no time (§4.2.1)", 200, "Cache-Control: max-age=60, stale-while-revalidate=x", "both", "0s"},

		{"Expires (§5.3)", 200, "Expires: @60", "both", "1m0s"},
		{"Expires now (§5.3)", 200, "Expires: @0", "both", "0s"},
		{"Expires in the past (§5.3)", 200, "Expires: @-60", "both", "0s"},
		{"Expires is 0 (§5.3)", 200, "Expires: 0\nLast-Modified: @-86400", "both", "0s"},
		{"Expires is empty (§5.3)", 200, "Expires: ", "both", "0s"},
		{"Expires is -1 (§5.3)", 200, "Expires: -1", "both", "0s"},
		{"Expires in another zone (§5.3, RFC 9110 §5.6.7)", 200, "Expires: Wed, 01 Jul 2026 12:01:00 UTC", "both", "0s"},
		{"Expires in capitals (RFC 9110 §5.6.7)", 200, "Expires: WED, 01 JUL 2026 12:01:00 gmt", "both", "1m0s"},
		{"Expires, an old form (RFC 9110 §5.6.7)", 200, "Expires: Wednesday, 01-Jul-26 12:01:00 GMT", "both", "1m0s"},
		{"Expires, another old form (RFC 9110 §5.6.7)", 200, "Expires: Wed Jul  1 12:01:00 2026", "both", "1m0s"},
		{"Expires before Last-Modified (§4.2.2)", 200, "Expires: @60\nLast-Modified: @-86400", "both", "1m0s"},
		{"a later Date (§4.2.1)", 200, "Expires: @3660\nDate: @3600", "both", "1m0s"},
		{"an earlier Date (§4.2.1)", 200, "Expires: @60\nDate: @-60", "both", "2m0s, age 1m0s"},
		{"a Date after Expires (§4.2.1)", 200, "Expires: @60\nDate: @61", "both", "0s"},
		{"a Date that is none (RFC 9110 §6.6.1)", 200, "Expires: @60\nDate: today", "both", "1m0s"},
		{"Expires twice, the same (§4.2.1)", 200, "Expires: @60\nExpires: @60", "both", "1m0s"},
		{"Expires twice (§4.2.1)", 200, "Expires: @60\nExpires: @90", "both", "0s"},
		{"Expires twice, one invalid (§4.2.1)", 200, "Expires: @60\nExpires: 0", "both", "0s"},
		{"Expires twice on one line (§5.3)", 200, "Expires: @60, @60", "both", "0s"},

		{"Age (§4.2.3)", 200, "Cache-Control: max-age=60\nAge: 50", "both", "1m0s, age 50s"},
		{"must-revalidate (§5.2.2.2)", 200, "Cache-Control: max-age=60, must-revalidate", "both", "1m0s, never stale"},
		{"proxy-revalidate (§5.2.2.8)", 200, "Cache-Control: max-age=60, proxy-revalidate", "shared", "1m0s, never stale"},
		{"proxy-revalidate, private (§5.2.2.8)", 200, "Cache-Control: max-age=60, proxy-revalidate", "private", "1m0s"},
		{"s-maxage, private (§5.2.2.10)", 200, "Cache-Control: max-age=60, s-maxage=60", "private", "1m0s"},
		{"no-cache (§4.2.4)", 200, "Cache-Control: max-age=60, no-cache", "both", "0s, never stale"},
		{"must-revalidate and a stale window (RFC 5861 §3, §4.2.4)", 200, "Cache-Control: max-age=60, must-revalidate, stale-while-revalidate=9", "both", "1m0s, never stale"},
		{"a stale window (RFC 5861 §3)", 200, "Cache-Control: max-age=60, stale-while-revalidate=9", "both", "1m0s"},
		{"immutable (RFC 8246 §2)", 200, "Cache-Control: max-age=60, immutable", "both", "1m0s"},
		{"immutable does not prolong (RFC 8246 §2)", 200, "Cache-Control: immutable", "both", "0s"},
	})
}

// TestGuesses is §4.2.2.
func TestGuesses(t *testing.T) {
	judge(t, []judgement{
		{"10 % (§4.2.2)", 200, "Last-Modified: @-600", "both", "1m0s"},
		{"10 % up to Date (§4.2.2)", 200, "Last-Modified: @-660\nDate: @-60", "both", "1m0s, age 1m0s"},
		{"a day", 200, "Last-Modified: @-864000", "both", "24h0m0s"},
		{"no more than a day", 200, "Last-Modified: @-864010", "both", "24h0m0s"},
		{"years", 200, "Last-Modified: Tue, 15 Nov 1994 12:45:26 GMT", "both", "24h0m0s"},
		{"centuries", 200, "Last-Modified: Mon, 01 Jan 0001 00:00:00 GMT", "both", "24h0m0s"},
		{"modified just now (§4.2.2)", 200, "Last-Modified: @0", "both", "0s"},
		{"modified in the future (RFC 9110 §8.8.2.1)", 200, "Last-Modified: @60", "both", "0s"},
		{"modified never (RFC 9110 §8.8.2)", 200, "Last-Modified: yesterday", "both", "0s"},
		{"an entity tag tells no time (§4.2.2)", 200, `ETag: "a"`, "both", "0s"},
		{"public (§4.2.2)", 302, "Cache-Control: public\nLast-Modified: @-600", "both", "1m0s"},
		{"no status for guesses (§4.2.2)", 302, "Cache-Control: private\nLast-Modified: @-600", "private", "0s"},
		{"no-cache (§5.2.2.4)", 200, "Cache-Control: no-cache\nLast-Modified: @-600", "both", "0s, never stale"},
		{"must-revalidate (§5.2.2.2)", 200, "Cache-Control: must-revalidate\nLast-Modified: @-600", "both", "1m0s, never stale"},
	})
	for _, j := range []judgement{
		{"nothing said", 200, "", "both", "7s"},
		{"before the tenth", 200, "Last-Modified: @-600", "both", "7s"},
		{"after Expires (§4.2.1)", 200, "Expires: @60", "both", "1m0s"},
		{"after an Expires that is past (§4.2.1)", 200, "Expires: 0", "both", "0s"},
		{"after max-age (§4.2.1)", 200, "Cache-Control: max-age=60", "both", "1m0s"},
		{"after max-age=0 (§4.2.1)", 200, "Cache-Control: max-age=0", "both", "0s"},
		{"after a max-age of no time (§4.2.1)", 200, "Cache-Control: max-age=x", "both", "0s"},
		{"after s-maxage (§4.2.1)", 200, "Cache-Control: s-maxage=60", "shared", "1m0s, never stale"},
		{"s-maxage, private (§5.2.2.10)", 200, "Cache-Control: s-maxage=60", "private", "7s"},
		{"no-cache (§5.2.2.4)", 200, "Cache-Control: no-cache", "both", "0s, never stale"},
		{"public (§4.2.2)", 302, "Cache-Control: public", "both", "7s"},
		{"no status for guesses (§4.2.2)", 302, "", "both", "status"},
		{"private, no status for guesses (§4.2.2)", 302, "Cache-Control: private", "private", "0s"},
	} {
		j.name = "default, " + j.name
		j.run(t, func(a *rfc9111.Answer) { a.Default = 7 * time.Second })
	}
}

// TestInitialAge is §4.2.3.
func TestInitialAge(t *testing.T) {
	for _, tt := range []struct {
		name, fields string
		delay, want  time.Duration
	}{
		{"nothing said", "", 0, 0},
		{"delay alone", "", 2 * time.Second, 2 * time.Second},
		{"Age", "Age: 30", 0, 30 * time.Second},
		{"Age and the delay", "Age: 30", 2 * time.Second, 32 * time.Second},
		{"Date", "Date: @-60", 0, time.Minute},
		{"Date, which has the delay in it", "Date: @-60", 2 * time.Second, time.Minute},
		{"Date is more", "Date: @-60\nAge: 30", 2 * time.Second, time.Minute},
		{"Age is more", "Date: @-60\nAge: 90", 0, 90 * time.Second},
		{"with the delay it is", "Date: @-60\nAge: 59", 2 * time.Second, 61 * time.Second},
		{"Date in the future", "Date: @60", 0, 0},
		{"Date in the future and Age", "Date: @60\nAge: 30", 0, 30 * time.Second},
		{"Date that is none (RFC 9110 §6.6.1)", "Date: 0\nAge: 30", 0, 30 * time.Second},
		{"the first of two Ages (§5.1)", "Age: 30\nAge: 90", 0, 30 * time.Second},
		{"an Age that is none (§5.1)", "Age: -30", time.Second, time.Second},
		{"an Age of words (§5.1)", "Age: old\nDate: @-60", 0, time.Minute},
		{"the largest Age (§1.2.2)", "Age: 99999999999999999999", time.Second, huge + time.Second},
	} {
		h := judgement{fields: tt.fields}.header()
		for _, private := range []bool{false, true} {
			a := rfc9111.Answer{Status: 200, Header: h, Private: private, Received: now, Delay: tt.delay}
			if got := rfc9111.Judge(a).Age; got != tt.want {
				t.Errorf("%s (§4.2.3): %q after %v is of age %v, want %v", tt.name, tt.fields, tt.delay, got, tt.want)
			}
		}
	}
}

// TestSelecting is §4.1, and §3.1: what selects an answer, and what is not stored of it.
func TestSelecting(t *testing.T) {
	judge(t, []judgement{
		{"Vary (§4.1)", 200, "Vary: accept-language\nVary: X-A, Accept", "both", "0s, vary Accept Accept-Language X-A"},
		{"Vary twice (§4.1)", 200, "Vary: Accept, ACCEPT", "both", "0s, vary Accept"},
		{"Vary of nothing (RFC 9110 §5.6.1.2)", 200, "Vary: ,", "both", "0s"},
		{"a star (§4.1)", 200, "Vary: *\nCache-Control: public, max-age=60", "both", "varying"},
		{"a star among others (§4.1)", 200, "Vary: Accept, *", "both", "varying"},
		{"what is no field (§4.1)", 200, "Vary: Accept Language", "both", "varying"},
		{"more than MaxVary", 200, "Vary: a, b, c, d, e, f, g, h, i", "both", "varying"},
		{"a star, no-store (§3)", 200, "Vary: *\nCache-Control: no-store", "both", "no-store"},
		{"a star, a status (§3)", 302, "Vary: *", "both", "status"},

		{"Connection (§3.1, RFC 9110 §7.6.1)", 200, "Connection: close, x-a\nConnection: X-B,,", "both", "0s, omit Close X-A X-B"},
		{"Connection and a directive (§3.1)", 200, "Connection: a\nCache-Control: no-cache=b, private=c, max-age=60", "shared", "1m0s, omit A B C"},
		{"Connection and a directive, private (§3.1)", 200, "Connection: a\nCache-Control: no-cache=b, private=c, max-age=60", "private", "1m0s, omit A B"},
	})
}

// TestTargetedRules is RFC 9213 §2.1, §2.2 and §3.1.
func TestTargetedRules(t *testing.T) {
	judge(t, []judgement{
		{"it replaces Cache-Control", 200, "CDN-Cache-Control: max-age=60\nCache-Control: max-age=5", "shared", "1m0s"},
		{"it is not for a private cache", 200, "CDN-Cache-Control: max-age=60\nCache-Control: max-age=5", "private", "5s"},
		{"not in a private cache, whatever it says", 200, "CDN-Cache-Control: no-store", "private", "0s"},
		{"it replaces no-store", 200, "CDN-Cache-Control: max-age=60\nCache-Control: no-store", "shared", "1m0s"},
		{"it replaces private", 200, "CDN-Cache-Control: max-age=60\nCache-Control: private", "shared", "1m0s"},
		{"it replaces what cannot be parsed", 200, "CDN-Cache-Control: max-age=60\nCache-Control: =", "shared", "1m0s"},
		{"it replaces must-revalidate", 200, "CDN-Cache-Control: max-age=60\nCache-Control: must-revalidate", "shared", "1m0s"},
		{"it replaces fields not to be kept", 200, "CDN-Cache-Control: max-age=60\nCache-Control: private=a, no-cache=b", "shared", "1m0s"},
		{"it replaces Expires", 200, "CDN-Cache-Control: must-revalidate\nExpires: @60", "shared", "0s, never stale"},
		{"it replaces Expires, which allows a status", 302, "CDN-Cache-Control: must-revalidate\nExpires: @60", "shared", "status"},
		{"without a lifetime: a guess (RFC 9111 §4.2.2)", 200, "CDN-Cache-Control: must-revalidate\nLast-Modified: @-600", "shared", "1m0s, never stale"},
		{"it forbids", 200, "CDN-Cache-Control: no-store\nCache-Control: max-age=60", "shared", "no-store"},
		{"it is private", 200, "CDN-Cache-Control: private, max-age=60\nCache-Control: max-age=60", "shared", "private"},
		{"it wants validation", 200, "CDN-Cache-Control: no-cache, max-age=60\nCache-Control: max-age=60", "shared", "0s, never stale"},
		{"s-maxage goes before max-age", 200, "CDN-Cache-Control: s-maxage=9, max-age=60", "shared", "9s, never stale"},
		{"must-understand", 599, "CDN-Cache-Control: must-understand, max-age=60", "shared", "no-store"},
		{"Authorization", 200, "CDN-Cache-Control: max-age=60\nCache-Control: public", "shared authorized", "authorization"},
		{"Authorization, public", 200, "CDN-Cache-Control: max-age=60, public", "shared authorized", "1m0s"},
		{"Age counts", 200, "CDN-Cache-Control: max-age=60\nAge: 50", "shared", "1m0s, age 50s"},
		{"on two lines", 200, "CDN-Cache-Control: max-age=60\nCDN-Cache-Control: must-revalidate", "shared", "1m0s, never stale"},
		{"nothing that is known replaces it", 200, "CDN-Cache-Control: none\nCache-Control: no-store", "shared", "0s"},
		{"2^31 s and more (RFC 9111 §1.2.2)", 200, "CDN-Cache-Control: max-age=999999999999999", "shared", "596523h14m8s"},

		{"empty", 200, "CDN-Cache-Control: \nCache-Control: max-age=5", "shared", "5s"},
		{"a String", 200, "CDN-Cache-Control: max-age=\"60\"\nCache-Control: max-age=5", "shared", "5s"},
		{"a negative time", 200, "CDN-Cache-Control: max-age=-1\nCache-Control: max-age=5", "shared", "5s"},
		{"upper case", 200, "CDN-Cache-Control: MAX-AGE=60\nCache-Control: max-age=5", "shared", "5s"},
		{"no Dictionary", 200, "CDN-Cache-Control: max-age=60,\nCache-Control: no-store", "shared", "no-store"},
		{"no Dictionary, and Expires", 200, "CDN-Cache-Control: max-age = 60\nExpires: @5", "shared", "5s"},
		{"field names", 200, "CDN-Cache-Control: private=\"a\", max-age=60\nCache-Control: max-age=5", "shared", "1m0s, omit A"},
		{"field names, a Token", 200, "CDN-Cache-Control: no-cache=a, max-age=60\nCache-Control: max-age=5", "shared", "1m0s, omit A"},
		{"field names of no type that they have", 200, "CDN-Cache-Control: private=(a b), max-age=60\nCache-Control: max-age=5", "shared", "5s"},
	})
	a := rfc9111.Answer{Status: 200, Header: http.Header{"Cdn-Cache-Control": {"max-age=60, stale-if-error=9"}}, Received: now}
	if c := rfc9111.Judge(a).Control; !c.Targeted || c.MaxAge != time.Minute || c.IfError != 9*time.Second || c.WhileRevalidate != unsaid {
		t.Errorf("%v rules as %+v", a.Header, c)
	}
	a.Private = true
	if c := rfc9111.Judge(a).Control; c.Targeted || c.MaxAge != unsaid {
		t.Errorf("%v rules as %+v in a private cache", a.Header, c)
	}
}

// TestLifetime: what an answer says itself, before any guess.
func TestLifetime(t *testing.T) {
	tests := []struct {
		name, fields    string
		shared, private time.Duration // or unsaid
	}{
		{"nothing said", "", unsaid, unsaid},
		{"max-age", "Cache-Control: max-age=60", time.Minute, time.Minute},
		{"s-maxage is longer", "Cache-Control: max-age=60, s-maxage=120", 2 * time.Minute, time.Minute},
		{"s-maxage is shorter", "Cache-Control: s-maxage=0, max-age=60", 0, time.Minute},
		{"s-maxage alone", "Cache-Control: s-maxage=9", 9 * time.Second, unsaid},
		{"max-age before Expires", "Cache-Control: max-age=60\nExpires: @3600", time.Minute, time.Minute},
		{"Expires", "Expires: @60", time.Minute, time.Minute},
		{"Expires in the past", "Expires: @-60", 0, 0},
		{"Expires now", "Expires: @0", 0, 0},
		{"Expires is no date", "Expires: 0", 0, 0},
		{"Expires is empty", "Expires: ", 0, 0},
		{"by the answer's own clock", "Expires: @3660\nDate: @3600", time.Minute, time.Minute},
		{"a Date that is none", "Expires: @60\nDate: today", time.Minute, time.Minute},
		{"a max-age of no time", "Cache-Control: max-age=x", 0, 0},
		{"a max-age of no time, and Expires", "Cache-Control: max-age=x\nExpires: @60", 0, 0},
		{"a guess", "Last-Modified: @-600", unsaid, unsaid},
		{"targeted", "CDN-Cache-Control: max-age=9\nCache-Control: max-age=60\nExpires: @3600", 9 * time.Second, time.Minute},
		{"targeted, without a lifetime", "CDN-Cache-Control: public\nExpires: @3600", unsaid, time.Hour},
	}
	lifetime := func(h http.Header, private bool) time.Duration {
		a := rfc9111.Answer{Header: h, Private: private, Received: now}
		if d, ok := a.Lifetime(rfc9111.Effective(h, private)); ok {
			return d
		}
		return unsaid
	}
	for _, tt := range tests {
		h := judgement{fields: tt.fields}.header()
		if got := lifetime(h, false); got != tt.shared {
			t.Errorf("%s: %v in a shared cache, want %v", tt.name, got, tt.shared)
		}
		if got := lifetime(h, true); got != tt.private {
			t.Errorf("%s: %v in a private cache, want %v", tt.name, got, tt.private)
		}
	}
	if got := lifetime(http.Header{"Expires": {}}, false); got != unsaid {
		t.Errorf("an Expires without a line: %v", got)
	}
}

func TestHop(t *testing.T) {
	for _, name := range []string{"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authentication-info", // §3.1
		"proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"} {
		if !rfc9111.Hop(http.CanonicalHeaderKey(name)) {
			t.Errorf("%s is kept", name)
		}
	}
	for _, name := range []string{"Age", "Cache-Control", "Content-Length", "Date", "Set-Cookie", "Trailers", "Via", "Www-Authenticate", ""} {
		if rfc9111.Hop(name) {
			t.Errorf("%s is not kept", name)
		}
	}
}
