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
)

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

// TestATableIsReadAsItWasSaved: with a byte order mark, and with the line ends of any editor of today.
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

// TestATableThatIsNoPlainTextSaysSo: once, and where.
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

// TestATableSaysWhatNoRouteCanHave, with the sentence of registration: a method that is never cached, and a tag with another
// route's path parameter.
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

// FuzzParseRoutes: nothing panics, an error has a line for every fault, and a table that was read is read again from its
// printed form.
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
