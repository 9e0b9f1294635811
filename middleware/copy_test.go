package middleware_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

// TestACopyIsWholeHoweverItIsWritten: the client gets everything, and so does the next one, if the body is within the bound. No
// memory stays reserved.
func TestACopyIsWholeHoweverItIsWritten(t *testing.T) {
	const most = 1 << 20 // newRoute's MaxBody
	all := make([]byte, most+1)
	for i := range all {
		all[i] = byte(i>>12 ^ i)
	}
	for _, size := range []int{1, 511, 4096, 4097, 64 << 10, 64<<10 + 1, 128 << 10, 128<<10 + 1, 300_000, most - 1, most, most + 1} {
		for _, step := range []int{500, 1 << 10, 4 << 10, 32 << 10, 100_000, most + 1} {
			for _, declared := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d by %d, declared %v", size, step, declared), func(t *testing.T) {
					rt, body, runs := newRoute(t, nil), all[:size], 0
					handler := func(w http.ResponseWriter, _ *http.Request) {
						runs++
						if declared {
							w.Header().Set("Content-Length", strconv.Itoa(size))
						}
						for rest := body; len(rest) > 0; {
							n, err := w.Write(rest[:min(step, len(rest))])
							if err != nil {
								t.Fatal(err)
							}
							rest = rest[n:]
						}
					}
					for range 3 {
						w := httptest.NewRecorder()
						serve(rt, w, httptest.NewRequest("GET", "/", nil), handler)
						if !bytes.Equal(w.Body.Bytes(), body) {
							t.Fatalf("a client has %d bytes that are not the handler's", w.Body.Len())
						}
					}
					if kept := runs == 1; kept != (size <= most) {
						t.Errorf("the handler ran %d times", runs)
					}
					if n := rt.Common().Recording(); n != 0 {
						t.Errorf("%d bytes stay reserved", n)
					}
				})
			}
		}
	}
}

// TestACopyMayBeGivenUpAtAnyLength: the client gets all that was written before and after.
func TestACopyMayBeGivenUpAtAnyLength(t *testing.T) {
	for _, first := range []int{1, 500, 511, 512} { // a short one goes to the client at once
		for _, then := range []int{0, 100, 4 << 10, 64 << 10, 128<<10 - 1, 128 << 10, 128<<10 + 1, 256 << 10, 256<<10 + 1} {
			t.Run(fmt.Sprint(first, " and ", then), func(t *testing.T) {
				rt, all := newRoute(t, nil), bytes.Repeat([]byte("0123456789abcdef"), 32<<10)
				w := httptest.NewRecorder()
				serve(rt, w, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, _ *http.Request) {
					for _, p := range [][]byte{all[:first], all[first : first+then/2], all[first+then/2 : first+then]} {
						if _, err := w.Write(p); err != nil {
							t.Error(err)
						}
					}
					w.(http.Flusher).Flush()
					_, _ = w.Write(all[first+then:])
				})
				if !bytes.Equal(w.Body.Bytes(), all) {
					t.Errorf("the client has %d bytes that are not the handler's", w.Body.Len())
				}
				if n := rt.Common().Recording(); n != 0 {
					t.Errorf("%d bytes stay reserved", n)
				}
			})
		}
	}
}
