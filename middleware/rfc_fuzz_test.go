package middleware_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
)

// What cannot be read is never kept for longer than it may have meant.
func TestStandardUnreadableFields(t *testing.T) {
	var rules []rule
	for _, field := range []string{
		"Cache-Control: max-age=-1", "Cache-Control: max-age=1.5", "Cache-Control: max-age=0x10", "Cache-Control: max-age=", "Cache-Control: max-age",
		"Cache-Control: max-age=1e9", `Cache-Control: max-age="10`, "Cache-Control: =10", "Cache-Control: max-age=10 20", "Cache-Control: max-age=10; no-store",
		"Cache-Control: \x00max-age=10", "Cache-Control: max-age=10\u00a0, public", "Cache-Control: s-maxage=x, max-age=10", "Expires: {+1h}x", "Expires: tomorrow",
		"Expires: Sat, 99 Jan 2000 00:00:00 GMT", "Expires: Sat, 01 Jan 2000 00:10:00 PST", "Expires: Sat, 01 Jan 2000 00:10:00", "Expires:", "Last-Modified: 1",
		"Cache-Control: max-age=10 | Vary: X A", "Cache-Control: max-age=10 | Vary: ü", `Cache-Control: max-age=10 | Vary: "X-A"`, "Cache-Control: max-age=10 | Age: 11",
		"Cache-Control: max-age=10 | Content-Length: 5", "Cache-Control: max-age=10 | X-A: a\rb", "Cache-Control: max-age=10 | X-A: a\x00b",
	} {
		rules = append(rules, rule{of: "RFC 9110 §5.5: " + field, script: "origin 200 | " + field + "\n GET => run\n GET => run"})
	}
	for _, field := range []string{
		"Age: -1", "Age: 1x", "Age:", "Date: never", "Date:", "Expires: never", `ETag: "`, "ETag: x", "Vary: ,", "Vary:", "Content-Range: bytes x", "Connection: ,",
		"Link: " + strings.Repeat("x", 8000), "Cache-Groups: \"", "CDN-Cache-Control: \"", "Clear-Site-Data: \"",
	} {
		rules = append(rules, rule{of: "RFC 9110 §5.5: " + field, script: "origin 200 | Cache-Control: max-age=10 | " + field + `
			GET => run #1
			GET => hit #1
			+10s
			GET => run`})
	}
	for _, field := range []string{
		"Range: bytes=", "If-None-Match: \"", "If-None-Match: x",
		"If-Modified-Since: x", "If-Range: x", "Cache-Control: \"", "Cache-Control: max-stale=99999999999999999999", "Cache-Control: min-fresh=-1",
		"If-None-Match: " + strings.Repeat(`"x", `, 5000), "X-A: " + strings.Repeat("x", 100_000), "Accept-Language: " + strings.Repeat("a, ", 5000),
	} {
		rules = append(rules, rule{of: "RFC 9110 §5.5: " + clip(field), script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | Last-Modified: {-10s}
			GET => run #1
			GET | ` + field + " => hit #1"})
	}
	obey(t, rules)
}

// FuzzStandardAnswer has a handler answer three requests for a URL with the lines of fields, and the requests carry
// others. Whatever they are, each client has an answer that the handler made for that URL, or a part of one, and nothing
// is kept for ever.
func FuzzStandardAnswer(f *testing.F) {
	long := strings.Repeat("x", 70_000)
	for i, answer := range []string{
		"Cache-Control: max-age=10", "Cache-Control: max-age=99999999999999999999\nAge: 99999999999999999999", "Expires: Sat, 01 Jan 9999 00:00:00 GMT\nDate: Sat, 01 Jan 0001 00:00:00 GMT",
		"Cache-Control: max-age=10, stale-while-revalidate=99999999999\nETag: \"a\"\nVary: X-A", "Cache-Control: no-store", "Cache-Control: public\nSet-Cookie: a=b", "Vary: *\nCache-Control: max-age=5",
		"Cache-Control: max-age=9\nContent-Range: bytes 0-9/10\nETag: \"a\"", "Cache-Control: max-age=0\nContent-Range: bytes 3-8/20\nETag: \"a\"", "X: " + long, "Cache-Control: " + long, "Vary: " + strings.Repeat("A,", 30_000),
		"ETag: " + long + "\nCache-Control: max-age=5", "Cache-Control: max-age=5\nContent-Length: 3", "Cache-Control: no-cache\nLast-Modified: Sat, 01 Jan 2000 00:00:00 GMT", "CDN-Cache-Control: max-age=9\nCache-Control: max-age=1",
		"Connection: close, Cache-Control\nCache-Control: max-age=5", "Date: x\nExpires: y\nAge: z", "Trailer: X", strings.Repeat("A: b\n", 300), "Cache-Groups: \"a\", \"b\"\nCache-Control: max-age=5",
	} {
		for j, request := range []string{
			"", "Range: bytes=0-4", "Range: bytes=5-\nIf-Range: \"a\"", "If-None-Match: \"a\"", "If-None-Match: " + long, "Cache-Control: no-cache", "Cache-Control: only-if-cached, max-stale",
			"Cache-Control: max-stale=5, min-fresh=3", "Range: bytes=" + strings.Repeat("0-0,", 1000), "X-A: b\nAccept-Language: " + long, "Authorization: x\nIf-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT",
		} {
			if (i+j)%3 == 0 || j == 0 {
				f.Add(answer, request, uint16([]int{200, 206, 304, 404, 503}[(i*2+j)%5]), uint8(i+j))
			}
		}
	}
	f.Fuzz(func(t *testing.T, answer, request string, status uint16, how uint8) {
		synctest.Test(t, func(t *testing.T) { hostile(t, answer, request, 200+int(status)%400, how) })
	})
}

// fieldsOf reads lines; names are made names.
func fieldsOf(lines string, clean bool) http.Header {
	h := http.Header{}
	for line := range strings.Lines(lines) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		name = strings.Map(func(r rune) rune {
			if r == '-' || 'a' <= r|0x20 && r|0x20 <= 'z' {
				return r
			}
			return -1
		}, name)
		if clean { // as net/http's server has let it in
			value = strings.Map(func(r rune) rune {
				if r < ' ' && r != '\t' || r == 0x7f {
					return -1
				}
				return r
			}, value)
		}
		if name != "" {
			h.Add(name, strings.TrimSpace(value))
		}
	}
	return h
}

func hostile(t *testing.T, answer, request string, status int, how uint8) {
	s := newSite(t, routers[0], classes[how%4])
	fields, asked := fieldsOf(answer, false), fieldsOf(request, true)
	var made []string
	s.handle("GET /x", standardPolicy, func(w http.ResponseWriter, r *http.Request) error {
		for name, values := range fields {
			w.Header()[name] = slices.Clone(values)
		}
		if status == http.StatusNotModified && r.Header.Get("If-None-Match")+r.Header.Get("If-Modified-Since") == "" {
			w.WriteHeader(http.StatusOK)
		} else {
			w.WriteHeader(status)
		}
		body := fmt.Sprintf("%010d:0123456789", len(made))
		made = append(made, body)
		_, _ = w.Write([]byte(body))
		return nil
	})
	ask := func() (ran bool) {
		before := len(made)
		got := s.get("/x", func(r *http.Request) {
			for name, values := range asked {
				if name != "Cookie" && name != "Connection" && name != "Upgrade" {
					r.Header[name] = slices.Clone(values)
				}
			}
		})
		answered(t, got, made, status, fields)
		return len(made) > before
	}
	for range 3 {
		ran := ask()
		if !ran && (slices.Equal(fields["Cache-Control"], []string{"no-store"}) && fields["Cdn-Cache-Control"] == nil || fields["Set-Cookie"] != nil) && len(made) > 0 {
			t.Error("what must not be kept is")
		}
		time.Sleep(time.Duration(how) * time.Second / 16)
	}
	if s.class == cache.SharedGlobal {
		return // memory sweeps all the time: two years of that are long
	}
	time.Sleep(2 * 366 * 24 * time.Hour)
	if runs := len(made); runs > 0 && !ask() && len(s.get("/x", header("Cache-Control", "no-transform")).body) > 0 && len(made) == runs {
		t.Error("it is kept for ever")
	}
}

// answered checks an answer against those that the handler has made.
func answered(t *testing.T, got reply, made []string, status int, fields http.Header) {
	t.Helper()
	switch got.status {
	case http.StatusNotModified, http.StatusGatewayTimeout:
		if got.status != status && got.body != "" {
			t.Errorf("%d has the body %q", got.status, got.body)
		}
		return
	case http.StatusRequestedRangeNotSatisfiable:
		return
	case status, http.StatusOK:
		if fields["Content-Length"] == nil && status != http.StatusPartialContent && status != http.StatusNoContent && !slices.Contains(made, got.body) {
			t.Errorf("%d has a body that the handler has not made: %q", got.status, clip(got.body))
		}
		return
	case http.StatusPartialContent:
		if !strings.HasPrefix(got.header.Get("Content-Type"), "multipart/") && !slices.ContainsFunc(made, func(b string) bool { return strings.Contains(b, got.body) }) {
			t.Errorf("a part of what the handler has not made: %q", clip(got.body))
		}
		return
	}
	t.Errorf("the status is %d; the handler's is %d", got.status, status)
}
