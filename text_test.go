package cache_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/larder-go/cache"
)

// TestAFaultyPolicySaysWhereWhatAndHow: every fault has its column, a sentence and a remedy.
func TestAFaultyPolicySaysWhereWhatAndHow(t *testing.T) {
	tests := []struct {
		text          string
		column        int
		fault, remedy string
	}{
		{"", 1, "the policy is empty", "begin with a class: shared-global, per-user, hot-shared, fleet-shared"},
		{"  \t ", 1, "the policy is empty", "begin with a class"},
		{"# shared-global", 1, "the policy is empty", "begin with a class"},
		{"shared", 1, `unknown class "shared"`, "the classes are shared-global, per-user, hot-shared, fleet-shared"},
		{"  Shared-Global", 3, `unknown class "Shared-Global"`, "the classes are"},
		{"ttl=60s shared-global", 1, `unknown class "ttl=60s"`, "the classes are"},
		{"class(0)", 1, `unknown class "class(0)"`, "the classes are"},
		{"shared-global speed=9", 15, `unknown setting "speed"`, "the settings are ttl, near, swr, sie, vary"},
		{"shared-global TTL=9s", 15, `unknown setting "TTL"`, "the settings are ttl"},
		{"shared-global =9", 15, `unknown setting ""`, "the settings are ttl"},
		{"shared-global per-user", 15, `unknown setting "per-user"`, "the settings are"},
		{"shared-global ttl=60", 15, `ttl="60" is not a duration above zero`, "write for example ttl=60s"},
		{"shared-global\tttl", 15, `ttl="" is not a duration`, "write for example ttl=60s"},
		{"shared-global ttl=0s", 15, `ttl="0s" is not a duration above zero`, "or leave it out"},
		{"shared-global  ttl=-1s", 16, `ttl="-1s" is not a duration above zero`, "or leave it out"},
		{"hot-shared near=x", 12, `near="x" is not a duration`, "write for example near=60s"},
		{"shared-global ttl=9s swr=", 22, `swr="" is not a duration`, "write for example swr=60s"},
		{"shared-global sie=never", 15, `sie="never" is not a duration`, "write for example sie=60s"},
		{"shared-global ttl=9s ttl=9s", 22, `"ttl" is given twice`, "keep one"},
		{"shared-global rfc9111 rfc9111", 23, `"rfc9111" is given twice`, "keep one"},
		{"shared-global query=a except=b", 23, "query and except exclude each other", "keep one"},
		{"shared-global except=b query=a", 24, "query and except exclude each other", "keep one"},
		{"shared-global vary", 15, "vary needs a list", "write for example vary=a,b"},
		{"shared-global query", 15, "query needs a list", "write for example query=a,b"},
		{"shared-global vary=", 15, "vary is empty", "name something or leave it out"},
		{"shared-global except=", 15, "except is empty", "name something or leave it out"},
		{"shared-global tags=a,,b", 15, `tags has an empty or unquoted item in "a,,b"`, `write for example tags=a,"b c"`},
		{"shared-global tags=,a", 15, "tags has an empty", "write for example"},
		{"shared-global tags=a,", 15, "tags ends with a comma", "remove it"},
		{`shared-global tags="a",`, 15, "tags ends with a comma", "remove it"},
		{`shared-global tags="a"b`, 15, `after a quoted item of tags comes "b"`, "separate items with commas"},
		{`shared-global tags=a"b"`, 15, "tags has an empty or unquoted item", "write for example"},
		{"shared-global tags=a#b", 15, "tags has an empty or unquoted item", "write for example"},
		{`shared-global tags="a`, 20, "a quote is not closed", "quote as in Go"},
		{`shared-global tags="\q"`, 20, "invalid escape", "quote as in Go"},
		{"shared-global max-runs=0", 15, `max-runs="0" is not a number above zero`, "write for example max-runs=64"},
		{"shared-global max-runs=many", 15, "is not a number above zero", "max-runs=64"},
		{"shared-global max-runs", 15, `max-runs="" is not a number`, "leave it out"},
		{"shared-global by", 15, "by needs a name", "write for example by=tenant"},
		{"shared-global by=", 15, "by needs a name", "write for example by=tenant"},
		{`shared-global by=""`, 15, "by takes one name", "write for example by=tenant"},
		{"shared-global by=tenant,role", 15, "by takes one name", "write for example by=tenant"},
		{"shared-global skip=a,b", 15, "skip takes one name", "write for example skip=preview"},
		{"shared-global skip=a skip=b", 22, `"skip" is given twice`, "keep one"},
		{"shared-global client", 15, "client needs a list", "write for example client=a,b"},
		{"shared-global client=", 15, "client is empty", "leave it out"},
		{"shared-global client=no-cache client=no-store", 31, `"client" is given twice`, "keep one"},
		{"shared-global client=max-age=60,", 15, "client ends with a comma", "remove it"},
		{"shared-global max-body=", 15, `max-body="" is not a number of bytes above zero`, "write for example max-body=64KiB"},
		{"shared-global max-body=0", 15, "is not a number of bytes above zero", "max-body=64KiB"},
		{"shared-global max-body=-1KiB", 15, "is not a number of bytes above zero", "max-body=64KiB"},
		{"shared-global max-body=1GB", 15, "is not a number of bytes", "max-body=64KiB"},
		{"shared-global max-body=9223372036854775807MiB", 15, "is not a number of bytes", "max-body=64KiB"},
		{"shared-global status=404", 15, `status="404" is not a list of status:duration`, "write for example status=404:10s,301:1h"},
		{"shared-global status=", 15, "is not a list of status:duration", "status=404:10s"},
		{"shared-global status=404:0s", 15, "is not a list of status:duration", "status=404:10s"},
		{"shared-global status=x:10s", 15, "is not a list of status:duration", "status=404:10s"},
		{"shared-global status=404:10s,404:1m", 15, "status 404 is given twice", "keep one"},
		{"shared-global rfc9111=yes", 15, "rfc9111 takes no value", "write rfc9111"},
		{"shared-global ignore-authorization=", 15, "ignore-authorization takes no value", "write ignore-authorization"},
	}
	for _, tt := range tests {
		p, err := cache.ParsePolicy(tt.text)
		if err == nil || !reflect.DeepEqual(p, cache.Policy{}) {
			t.Errorf("ParsePolicy(%q) = %s, %v; want an error alone", tt.text, p, err)
			continue
		}
		place := fmt.Sprintf("cache: policy %q: column %d: ", tt.text, tt.column)
		if text := err.Error(); !strings.HasPrefix(text, place) || !strings.Contains(text, tt.fault) || !strings.Contains(text, "; ") && !strings.Contains(text, tt.remedy) ||
			!strings.Contains(text[strings.Index(text, tt.fault)+len(tt.fault):], tt.remedy) {
			t.Errorf("ParsePolicy(%q):\n %v\nwant %s%s … %s", tt.text, err, place, tt.fault, tt.remedy)
		}
	}
}

// TestWhatRegistrationRefusesHasItsColumn: a setting that is well written and cannot work is found where it is read, as far as
// that needs no Options.
func TestWhatRegistrationRefusesHasItsColumn(t *testing.T) {
	tests := []struct {
		text          string
		column        int
		fault, remedy string
	}{
		{"hot-shared ttl=5s near=1m", 19, "its NearTTL (1m0s) is longer than TTL (5s)", "shorten it"},
		{"hot-shared near=2m", 12, "its NearTTL (2m0s) is longer than TTL (1m0s)", "shorten it"},
		{"fleet-shared ttl=1m near=5s", 21, "fleet-shared keeps no near copy", "use hot-shared"},
		{"shared-global ttl=9000h", 15, "its TTL is longer than a year", "shorten it"},
		{"shared-global ttl=1m swr=9000h", 22, "its StaleWhileRevalidate is longer than a year", "shorten it"},
		{"shared-global sie=9000h", 15, "its StaleIfError is longer than a year", "shorten it"},
		{"shared-global max-body=65MiB", 15, "a store takes at most", "lower it"},
		{"shared-global vary=Accept,*", 15, `its Vary is "*"`, "name the headers"},
		{"shared-global ttl=1m vary=Cookie", 22, "its Vary names Cookie on shared-global", "use per-user"},
		{"shared-global pass=Range", 15, "its Pass names Range", "leave it out"},
		{"shared-global cookies=sid", 15, `its Cookies name "sid"`, "use per-user"},
		{"shared-global status=200:1m", 15, "its StatusTTL has 200", "leave it out"},
		{"shared-global rfc9111 status=404:1m", 23, "its StatusTTL is set and with RFC9111", "leave one of them out"},
		{"shared-global rfc9111 ignore-authorization", 23, "its IgnoreAuthorization is set", "leave one of them out"},
		{"per-user ignore-authorization", 10, "IgnoreAuthorization has no meaning for per-user", "leave it out"},
		{"shared-global tags=p:{id", 15, `tag "p:{id"`, "write for example product:{id}"},
		{"shared-global client=nocache", 15, `its Client has "nocache"`, "use no-cache"},
		{"per-user client=public", 10, "per-user answers are private", "leave public and s-maxage out"},
		{"shared-global query=" + strings.Join(numbered(129), ","), 15, "its Query names 129 parameters", "at most 128"},
		{"shared-global except=" + strings.Join(numbered(129), ","), 15, "its Query names 129 parameters", "at most 128"},
	}
	for _, tt := range tests {
		p, err := cache.ParsePolicy(tt.text)
		if err == nil || !reflect.DeepEqual(p, cache.Policy{}) {
			t.Errorf("ParsePolicy(%.60q) = %s, %v; want an error alone", tt.text, p, err)
			continue
		}
		place := fmt.Sprintf(": column %d: ", tt.column)
		if text := err.Error(); !strings.Contains(text, place) || !strings.Contains(text, tt.fault) || !strings.Contains(text, tt.remedy) {
			t.Errorf("ParsePolicy(%.60q):\n %v\nwant %s%s … %s", tt.text, err, place, tt.fault, tt.remedy)
		}
		routes, err := cache.ParseRoutes(strings.NewReader("\nGET  /p " + tt.text))
		place = fmt.Sprintf("cache: routes: line 2, column %d: ", len("GET  /p ")+tt.column)
		if text := fmt.Sprint(err); routes != nil || !strings.HasPrefix(text, place) || !strings.Contains(text, tt.fault) || !strings.Contains(text, tt.remedy) {
			t.Errorf("ParseRoutes of %.60q:\n %v\nwant %s%s … %s", tt.text, err, place, tt.fault, tt.remedy)
		}
	}
}

// TestAByteOrderMarkIsNoPartOfAPolicy, and bytes that no text has are named.
func TestAByteOrderMarkIsNoPartOfAPolicy(t *testing.T) {
	p, err := cache.ParsePolicy("\ufeffshared-global ttl=1m")
	if err != nil || p.Class != cache.SharedGlobal {
		t.Errorf("with a mark: %v, %v", p, err)
	}
	for text, want := range map[string]string{
		"shared-global\x00":       `column 14: there is a NUL byte; save the text as UTF-8`,
		"shared-global\rttl=1m":   `column 14: there is a carriage return that ends no line; end lines with LF or CRLF`,
		"s\x00h\x00a\x00r\x00":    `column 2: there is a NUL byte; save the text as UTF-8`,
		"\xff\xfes\x00h\x00a\x00": `column 1: this is UTF-16; save the text as UTF-8`,
		"\xfe\xff\x00s\x00h":      `column 1: this is UTF-16; save the text as UTF-8`,
	} {
		if _, err := cache.ParsePolicy(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePolicy(%q): %v\nwant %s", text, err, want)
		}
	}
}

// TestALongFaultIsClipped: an error fits into a log line, whatever was read.
func TestALongFaultIsClipped(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, text := range []string{long, "shared-global " + long, "shared-global ttl=" + long, "shared-global status=" + long,
		"shared-global max-body=" + long, `shared-global tags="a"` + long, "shared-global tags=" + long + `"q"`,
		"shared-global " + long + "=1 " + long + "=1"} {
		if _, err := cache.ParsePolicy(text); err == nil || len(err.Error()) > 1200 {
			t.Errorf("%.40s…: an error of %d bytes", text, len(fmt.Sprint(err)))
		}
	}
}

// FuzzParsePolicy: what is read is printed in a form that is read as the same policy; nothing panics, and errors have a
// column.
func FuzzParsePolicy(f *testing.F) {
	for _, tt := range policies {
		f.Add(tt.text)
	}
	f.Add("per-user ttl=60 #")
	f.Add(`hot-shared tags="a",b,"\x00\u2028`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := cache.ParsePolicy(text)
		if err != nil {
			if !strings.Contains(err.Error(), ": column ") {
				t.Errorf("ParsePolicy(%q): %v: no column", text, err)
			}
			return
		}
		again, err := cache.ParsePolicy(p.String())
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%q is printed as %s and read as %s, %v", text, p, again, err)
		}
	})
}
