package main

import "testing"

func TestPathsAreParsed(t *testing.T) {
	for k := range kinds {
		want := nth(k, 51)
		if got, err := parsePath(want.path()); got != want || err != nil {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	for _, path := range []string{"/", "/plain/r0", "/plain/0/0", "/plain/r50/0", "/plain/r0/1024", "/other/r0/0"} {
		if k, err := parsePath(path); err == nil {
			t.Errorf("%s is %+v", path, k)
		}
	}
}
