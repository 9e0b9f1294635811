package main

import (
	"slices"
	"strings"
	"testing"
)

func TestARCTracesAreRuns(t *testing.T) {
	got, err := readARC(strings.NewReader("10 3 0 0\n\n7 1 0 1\r\n0 0 0 2\n11 2\n"), 6)
	if want := []uint64{10, 11, 12, 7, 11, 12}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

func TestDamagedARCTracesAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":     "",
		"one number":  "1 1\n2\n",
		"a word":      "1 1\nx 1 0 0\n",
		"negative":    "1 1\n5 -1 0 0\n",
		"too large":   "1 1\n99999999999999999999 1 0 0\n",
		"endless run": "1 1\n1 9223372036854775807 0 0\n",
		"too long":    "1 999\n1 2\n",
	} {
		if trace, err := readARC(strings.NewReader(text), 1000); err == nil {
			t.Errorf("%s is read as %d requests", name, len(trace))
		} else if text != "" && !strings.Contains(err.Error(), "line 2: ") {
			t.Errorf("%s: %v does not name line 2", name, err)
		}
	}
}

// What is read is what the lines say, and nothing makes the reader panic or take much memory.
func FuzzARC(f *testing.F) {
	f.Add("10 3 0 0\n7 1 0 1\n")
	f.Add("1 99999999999 0 0")
	f.Fuzz(func(t *testing.T, text string) {
		trace, err := readARC(strings.NewReader(text), 1000)
		if (err == nil) == (len(trace) == 0) || len(trace) > 1000 {
			t.Errorf("%d requests and error %v", len(trace), err)
		}
	})
}
