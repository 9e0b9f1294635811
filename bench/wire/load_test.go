package main

import (
	"strings"
	"testing"
	"time"
)

const wrkOutput = `Running 2s test @ http://127.0.0.1:39021/products?page=2&sort=price
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.98ms    1.59ms  29.88ms   95.38%
    Req/Sec    22.43k     1.13k   24.08k    85.00%
  Latency Distribution
     50%    2.73ms
     75%    2.88ms
     90%    3.34ms
     99%    9.64ms
  44725 requests in 2.01s, 57.36MB read
Requests/sec:  22262.66
Transfer/sec:     28.55MB
`

func TestParseWrk(t *testing.T) {
	for _, c := range []struct {
		name string
		edit []string // old, new
		want tally
		err  string
	}{
		{"milliseconds", nil, tally{44725, 22262.66, 2730 * time.Microsecond, 9640 * time.Microsecond}, ""},
		{"microseconds", []string{"2.73ms", "52.00us"}, tally{44725, 22262.66, 52 * time.Microsecond, 9640 * time.Microsecond}, ""},
		{"seconds", []string{"9.64ms", "1.04s"}, tally{44725, 22262.66, 2730 * time.Microsecond, 1040 * time.Millisecond}, ""},
		{"minutes", []string{"9.64ms", "1.50m"}, tally{44725, 22262.66, 2730 * time.Microsecond, 90 * time.Second}, ""},
		{"other statuses", []string{"Requests/sec:", "  Non-2xx or 3xx responses: 7\nRequests/sec:"}, tally{}, "Non-2xx or 3xx responses: 7"},
		{"socket errors", []string{"Requests/sec:", "  Socket errors: connect 0, read 3, write 0, timeout 0\nRequests/sec:"}, tally{}, "read 3"},
		{"no latencies", []string{"50%", ""}, tally{}, "p50 0s"},
		{"no rate", []string{"Requests/sec:  22262.66", ""}, tally{}, "0 a second"},
		{"no requests", []string{"44725 requests", "0 requests"}, tally{}, "0 requests"},
		{"a rate that is none", []string{"22262.66", "nan"}, tally{}, "NaN a second"},
		{"a time that is none", []string{"2.73ms", "fast"}, tally{}, "fast"},
		{"a negative time", []string{"2.73ms", "-2.73ms"}, tally{}, "-2.73ms"},
		{"quantiles that fall", []string{"9.64ms", "1.00ms"}, tally{}, "p99 1ms"},
		{"nothing", []string{wrkOutput, ""}, tally{}, "0 requests"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := wrkOutput
			if c.edit != nil {
				out = strings.Replace(out, c.edit[0], c.edit[1], 1)
			}
			got, err := parseWrk(out)
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want one with %q", err, c.err)
			}
		})
	}
}

// Whatever wrk prints, what is taken for a result is one.
func FuzzParseWrk(f *testing.F) {
	f.Add(wrkOutput)
	f.Add("50% 1us\n99% 1us\n1 requests in 1s\nRequests/sec: 1")
	f.Add("50% 9999999h\n99% 1e9s\n9223372036854775808 requests in\nRequests/sec: +Inf")
	f.Fuzz(func(t *testing.T, out string) {
		got, err := parseWrk(out)
		if err != nil {
			return
		}
		if got.requests < 1 || got.p50 <= 0 || got.p99 < got.p50 || !(got.rate > 0) || got.rate > 1e308*1.7 {
			t.Errorf("%+v", got)
		}
	})
}
