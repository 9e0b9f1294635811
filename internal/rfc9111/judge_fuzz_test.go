package rfc9111_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
)

var numberForm = regexp.MustCompile(`[0-9]+`)

// longest is the longest lifetime that the fields could mean to anyone: that of the largest number in the directives, the
// time up to Expires, or the tenth of what has passed since Last-Modified, up to a day.
func longest(h http.Header) time.Duration {
	var most time.Duration
	for _, number := range numberForm.FindAllString(strings.Join(append(h["Cache-Control"], h["Cdn-Cache-Control"]...), "\n"), -1) {
		d, _ := rfc9111.Seconds(number)
		most = max(most, d)
	}
	made, ok := rfc9111.ParseDate(h.Get("Date"), now)
	if !ok {
		made = now
	}
	if expires, ok := rfc9111.ParseDate(h.Get("Expires"), now); ok {
		most = max(most, expires.Sub(made))
	}
	if modified, ok := rfc9111.ParseDate(h.Get("Last-Modified"), now); ok {
		most = max(most, min(made.Sub(modified)/10, 24*time.Hour))
	}
	return most
}

// FuzzJudge: nothing panics; no lifetime and no age is negative or longer than what the fields mean; no-store always
// refuses; what is private is refused in a shared cache alone; and what one may store beside Authorization, or in a
// shared cache, one may store without it, or in a private cache.
func FuzzJudge(f *testing.F) {
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	f.Add(200, "public, max-age=60", "", date(time.Minute), date(-time.Minute), "", "30", "Accept", uint8(0))
	f.Add(302, "s-maxage=60, must-understand", "max-age=9", "0", "", date(-time.Hour), "-1", "*", uint8(1))
	f.Add(206, `private="a"`, "no-store", "", "Thu, 01 Jan 0001 00:00:00 GMT", "Thu, 01 Jan 0001 00:00:00 GMT", "99999999999", ",", uint8(2))
	f.Add(599, "max-age=x, stale-if-error=99999999999", "=", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 0001 00:00:00 GMT", "", "", "", uint8(3))
	f.Fuzz(func(t *testing.T, status int, control, cdn, expires, date, modified, age, vary string, flags uint8) {
		h := http.Header{"Content-Range": {"bytes 0-4/10"}}
		for _, field := range [][2]string{{"Cache-Control", control}, {"Cdn-Cache-Control", cdn}, {"Expires", expires},
			{"Date", date}, {"Last-Modified", modified}, {"Age", age}, {"Vary", vary}} {
			if name, value := field[0], field[1]; value != "" {
				h[name] = []string{value}
			}
		}
		a := rfc9111.Answer{Status: status, Header: h, Private: flags&1 != 0, Authorized: flags&2 != 0, Received: now, Delay: time.Duration(flags) * time.Second}
		v := rfc9111.Judge(a)
		if most := longest(h); v.Fresh < 0 || v.Fresh > most {
			t.Errorf("%v is fresh for %v, and at most for %v", h, v.Fresh, most)
		}
		if v.Age < a.Delay || v.Age > huge+a.Delay && date == "" {
			t.Errorf("%v is of age %v after %v", h, v.Age, a.Delay)
		}
		_, ruled := rfc9111.ParseTargeted(h["Cdn-Cache-Control"])
		if ruled = ruled && !a.Private; ruled != v.Control.Targeted {
			t.Errorf("%v: targeted %v", h, v.Control.Targeted)
		}
		if !ruled && !strings.Contains(strings.ToLower(control), "must-understand") {
			for _, lines := range [][]string{{control, "no-store"}, {"NO-store", control}, {control + ", no-store"}, {"no-store," + control}} {
				if r := rfc9111.Judge(with(a, lines)).Refusal; r == rfc9111.Storable {
					t.Errorf("%q is storable", lines)
				}
			}
		}
		one := with(a, []string{"private"})
		delete(one.Header, "Cdn-Cache-Control")
		one.Private = true
		switch r := rfc9111.Judge(one).Refusal; r {
		case rfc9111.Storable, rfc9111.Partial, rfc9111.Varying:
		case rfc9111.Status:
			if status >= 200 {
				t.Errorf("%d is not for a private cache", status)
			}
		default:
			t.Errorf("%v in a private cache: %d", one.Header, r)
		}
		one.Private = false
		if r := rfc9111.Judge(one).Refusal; r != rfc9111.Private && r != rfc9111.Partial {
			t.Errorf("%v in a shared cache: %d", one.Header, r)
		}
		if v.Refusal == rfc9111.Storable {
			a.Authorized = false
			if r := rfc9111.Judge(a).Refusal; r != rfc9111.Storable {
				t.Errorf("%v only with Authorization: %d", h, r)
			}
			a.Private = true
			if r := rfc9111.Judge(a).Refusal; r != rfc9111.Storable && r != rfc9111.Status && !ruled {
				t.Errorf("%v only in a shared cache: %d", h, r)
			}
		}
	})
}

func with(a rfc9111.Answer, control []string) rfc9111.Answer {
	a.Header = a.Header.Clone()
	a.Header["Cache-Control"] = control
	return a
}
