package cache_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
)

// policies are policies and their text.
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

func TestTheTwoQuestionsDecide(t *testing.T) {
	for _, tt := range []struct {
		mustAgree, onHotPath bool
		want                 cache.Class
	}{
		{false, false, cache.SharedGlobal},
		{false, true, cache.SharedGlobal},
		{true, false, cache.FleetShared},
		{true, true, cache.HotShared},
	} {
		if got := cache.Classify(tt.mustAgree, tt.onHotPath); got != tt.want {
			t.Errorf("Classify(%v, %v) = %v, want %v", tt.mustAgree, tt.onHotPath, got, tt.want)
		}
	}
}

func TestClassNames(t *testing.T) {
	for class, want := range map[cache.Class]string{
		0: "class(0)", cache.SharedGlobal: "shared-global", cache.PerUser: "per-user", cache.HotShared: "hot-shared",
		cache.FleetShared: "fleet-shared", cache.FleetShared + 1: "class(5)", 255: "class(255)",
	} {
		if got := class.String(); got != want {
			t.Errorf("String = %q, want %q", got, want)
		}
	}
}

// TestAFaultyPolicySaysWhereWhatAndHow: every error names the column, what is wrong, and how to correct it.
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

// TestWhatRegistrationRefusesHasItsColumn: the parser refuses a setting that has correct syntax but cannot work, unless that
// depends on the Options.
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

// TestAByteOrderMarkIsNoPartOfAPolicy, and an error names bytes that are no text.
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

// TestALongFaultIsClipped: an error fits into a log line, whatever the input.
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

// FuzzParsePolicy: a parsed policy prints as text that parses to the same policy; nothing panics, and errors have a column.
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

func TestParseRoutes(t *testing.T) {
	got, err := cache.ParseRoutes(strings.NewReader("# the shop's routes\r\n" + `

GET /countries       shared-global ttl=10m vary=Accept-Language   # the same for everyone
	GET   /products/{id}	hot-shared ttl=60s tags=product:{id},"a # b"
/files/{path...} shared-global
shop.example/ shared-global
   # GET /cart per-user
GET /cart per-user`))
	want := cache.Routes{
		"GET /countries":     {Class: cache.SharedGlobal, TTL: 10 * time.Minute, Vary: []string{"Accept-Language"}},
		"GET /products/{id}": {Class: cache.HotShared, TTL: time.Minute, Tags: []string{"product:{id}", "a # b"}},
		"/files/{path...}":   {Class: cache.SharedGlobal},
		"shop.example/":      {Class: cache.SharedGlobal},
		"GET /cart":          {Class: cache.PerUser},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseRoutes = %v, %v; want %v", got, err, want)
	}
}

func TestAnEmptyTableHasNoRoutes(t *testing.T) {
	for _, text := range []string{"", "\n\n", "# nothing\n\t# here"} {
		if routes, err := cache.ParseRoutes(strings.NewReader(text)); err != nil || routes == nil || len(routes) != 0 {
			t.Errorf("ParseRoutes(%q) = %v, %v", text, routes, err)
		}
	}
}

// TestAFaultyTableListsEveryFault, each with its line, column, fault and remedy, and is no table.
func TestAFaultyTableListsEveryFault(t *testing.T) {
	routes, err := cache.ParseRoutes(strings.NewReader(`# line 1
GET /a shared-global
GET /b shared ttl=60s
GET /c shared-global  ttl=60
/d
countries
GET countries shared-global
GET /e # shared-global
GET /a per-user
GET  /a per-user
GET /f shared-global tags="x
"GET /g shared-global
GET /h shared-global query=a except=b
GET
HEAD /a shared-global
/a shared-global
shop.example/a shared-global
`))
	if routes != nil {
		t.Errorf("a faulty table has routes: %v", routes)
	}
	want := []struct {
		line, column  int
		fault, remedy string
	}{
		{3, 8, `unknown class "shared"`, "the classes are shared-global"},
		{4, 23, `ttl="60" is not a duration`, "write for example ttl=60s"},
		{5, 3, `route "/d" has no policy`, "add a class"},
		{6, 1, `"countries" is not a route pattern`, "write for example GET /products/{id}"},
		{7, 1, `"GET countries" is not a route pattern`, "write for example GET /products/{id}"},
		{8, 7, `route "GET /e" has no policy`, "add a class"},
		{9, 1, `route "GET /a" has a policy already, in line 2`, "keep one"},
		{10, 1, `route "GET /a" has a policy already, in line 2`, "keep one"},
		{11, 27, "a quote is not closed", "quote as in Go"},
		{12, 1, "a quote is not closed", "quote as in Go"},
		{13, 30, "query and except exclude each other", "keep one"},
		{14, 1, `"GET" is not a route pattern`, "write for example GET /products/{id}"},
		{15, 1, `route "HEAD /a" has a policy already, in line 2`, "keep one"},
		{16, 1, `route "/a" has a policy already, in line 2`, "keep one"},
	}
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d faults, want %d:\n%v", len(lines), len(want), err)
	}
	for i, w := range want {
		place := fmt.Sprintf("cache: routes: line %d, column %d: ", w.line, w.column)
		if !strings.HasPrefix(lines[i], place) || !strings.Contains(lines[i], w.fault) || !strings.Contains(lines[i], w.remedy) {
			t.Errorf("fault %d is\n %s\nwant\n %s%s … %s", i, lines[i], place, w.fault, w.remedy)
		}
	}
}

// TestATableIsReadAsItWasSaved: with a byte order mark, and with the line ends of any current editor.
func TestATableIsReadAsItWasSaved(t *testing.T) {
	want := cache.Routes{"GET /a": {Class: cache.SharedGlobal}, "GET /b": {Class: cache.SharedGlobal}}
	for _, text := range []string{
		"\ufeffGET /a shared-global\nGET /b shared-global",
		"\ufeffGET /a shared-global\r\nGET /b shared-global\r\n",
		"\ufeff# routes\nGET /a shared-global\nGET /b shared-global\n",
		"\ufeff\nGET /a shared-global\nGET /b shared-global\n",
	} {
		if got, err := cache.ParseRoutes(strings.NewReader(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseRoutes(%q) = %v, %v", text, got, err)
		}
	}
	if got, err := cache.ParseRoutes(strings.NewReader("\ufeff")); err != nil || len(got) != 0 {
		t.Errorf("a mark alone: %v, %v", got, err)
	}
	if _, err := cache.ParseRoutes(strings.NewReader("\ufeffGET /a shared ttl=60s")); err == nil || !strings.Contains(err.Error(), "line 1, column 8: ") {
		t.Errorf("the mark counts as a column: %v", err)
	}
}

// TestATableThatIsNoPlainTextSaysSo: one error says so, and where.
func TestATableThatIsNoPlainTextSaysSo(t *testing.T) {
	utf16 := func(order string, text string) string {
		for _, b := range []byte(text) {
			if order == "\xff\xfe" {
				order += string([]byte{b, 0})
			} else {
				order += string([]byte{0, b})
			}
		}
		return order
	}
	for text, want := range map[string]string{
		utf16("\xff\xfe", "GET /a shared-global\r\nGET /b shared-global\r\n"): "line 1, column 1: this is UTF-16; save the text as UTF-8",
		utf16("\xfe\xff", "GET /a shared-global\nGET /b shared-global\n"):     "line 1, column 1: this is UTF-16; save the text as UTF-8",
		"GET /a shared-global\nGET /b shared-global\x00":                      "line 2, column 21: there is a NUL byte; save the text as UTF-8",
		"# all\rGET /a shared-global\r":                                       "line 1, column 6: there is a carriage return that ends no line; end lines with LF or CRLF",
		"GET /a shared-global\r\nGET /b shared-global\rGET /c per-user":       "line 2, column 21: there is a carriage return that ends no line; end lines with LF or CRLF",
	} {
		routes, err := cache.ParseRoutes(strings.NewReader(text))
		if got := fmt.Sprint(err); routes != nil || got != "cache: routes: "+want {
			t.Errorf("ParseRoutes(%.40q) = %v, %v\nwant %s", text, routes, err, want)
		}
	}
}

// TestATableSaysWhatNoRouteCanHave: a method that is never cached, and a tag with a path parameter that the route does not
// have. The errors are those of registration.
func TestATableSaysWhatNoRouteCanHave(t *testing.T) {
	for line, want := range map[string]string{
		"POST /cart shared-global":                  "line 1, column 1: POST is never cached; annotate its GET route, or remove the line",
		"  DELETE  /cart shared-global":             "line 1, column 3: DELETE is never cached; annotate its GET route, or remove the line",
		"get /cart shared-global":                   "line 1, column 1: get is never cached; annotate its GET route, or remove the line",
		"GET /p/{id} shared-global tags=p:{name},x": `line 1, column 27: tag "p:{name}" needs a path parameter {name}, which the route does not have; correct one of them`,
	} {
		routes, err := cache.ParseRoutes(strings.NewReader(line))
		if got := fmt.Sprint(err); routes != nil || got != "cache: routes: "+want {
			t.Errorf("ParseRoutes(%q) = %v, %v\nwant %s", line, routes, err, want)
		}
	}
}

// TestARouteThatIsNeverCachedIsRefused where it is registered, too.
func TestARouteThatIsNeverCachedIsRefused(t *testing.T) {
	c := fullCache(t)
	for pattern, want := range map[string]string{
		"POST /cart": `cache: route "POST /cart": POST is never cached; annotate its GET route, or remove the line`,
		"GET ":       `cache: route "GET ": there is no path; write for example GET /products/{id}`,
		"nonsense":   `cache: route "nonsense": there is no path; write for example GET /products/{id}`,
	} {
		if _, err := c.Compile(cache.Policy{Class: cache.SharedGlobal}, pattern); fmt.Sprint(err) != want {
			t.Errorf("Compile for %q: %v\nwant %s", pattern, err, want)
		}
	}
}

func TestATableThatCannotBeReadIsAnError(t *testing.T) {
	broken := errors.New("the disk is gone")
	routes, err := cache.ParseRoutes(io.MultiReader(strings.NewReader("GET /a shared-global\nGET /b x\n"), iotest.ErrReader(broken)))
	if routes != nil || !errors.Is(err, broken) || !strings.Contains(err.Error(), "line 2, ") {
		t.Errorf("ParseRoutes = %v, %v; want the reader's error beside the faults", routes, err)
	}
	routes, err = cache.ParseRoutes(strings.NewReader("GET /a shared-global\nGET /" + strings.Repeat("x", 1<<20) + " shared-global\n"))
	if routes != nil || err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a line that is too long: %v, want its number", err)
	}
}

// FuzzParseRoutes: nothing panics, an error has a line for every fault, and a parsed table prints as text that parses again.
func FuzzParseRoutes(f *testing.F) {
	f.Add("GET /countries shared-global ttl=10m\n# x\n\nPOST /a per-user tags=\"a b\"")
	f.Add("/a shared-global\n/a shared-global\nx")
	f.Add("GET\t/\"a b\" fleet-shared query=\r\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		routes, err := cache.ParseRoutes(strings.NewReader(text))
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if routes != nil || !strings.HasPrefix(line, "cache: routes: line ") {
					t.Errorf("ParseRoutes(%q) = %v, %v", text, routes, err)
				}
			}
			return
		}
		var b strings.Builder
		for pattern, policy := range routes {
			fmt.Fprintln(&b, pattern, policy)
		}
		again, err := cache.ParseRoutes(strings.NewReader(b.String()))
		if err != nil || !reflect.DeepEqual(again, routes) {
			t.Errorf("%q is printed as %q and read as %v, %v", text, b.String(), again, err)
		}
	})
}
