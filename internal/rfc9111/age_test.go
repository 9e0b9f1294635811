package rfc9111_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
)

func TestAge(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  time.Duration
		ok    bool
	}{
		{"seconds (RFC 9111 §5.1)", []string{"7200"}, 7200 * time.Second, true},
		{"none (§5.1)", []string{"0"}, 0, true},
		{"whitespace (RFC 9110 §5.5)", []string{" 7200\t"}, 7200 * time.Second, true},
		{"zeros before it (§1.2.2)", []string{"007"}, 7 * time.Second, true},
		{"the first of several (§5.1)", []string{"7200, 0"}, 7200 * time.Second, true},
		{"the first of several, though less (§5.1)", []string{"0, 7200"}, 0, true},
		{"the first line (§5.1)", []string{"60", "7200"}, time.Minute, true},
		{"a parameter (§5.1)", []string{"7200;foo=111"}, 7200 * time.Second, true},
		{"a parameter with a comma (§5.1)", []string{`7200 ; foo="1,2"`}, 7200 * time.Second, true},
		{"2^31-1 (§1.2.2)", []string{"2147483647"}, 2147483647 * time.Second, true},
		{"2^31 (§1.2.2)", []string{"2147483648"}, 1 << 31 * time.Second, true},
		{"more than can be counted (§1.2.2)", []string{"99999999999999999999999"}, 1 << 31 * time.Second, true},
		{"no line", nil, 0, false},
		{"an empty line (§1.2.2)", []string{""}, 0, false},
		{"an empty line before (§5.1)", []string{"", "7200"}, 0, false},
		{"an empty member before (§5.1)", []string{", 7200"}, 0, false},
		{"no number before (§5.1)", []string{"abc, 7200"}, 0, false},
		{"no number (§1.2.2)", []string{"abc"}, 0, false},
		{"negative (§1.2.2)", []string{"-7200"}, 0, false},
		{"a sign (§1.2.2)", []string{"+7200"}, 0, false},
		{"a fraction (§1.2.2)", []string{"7200.0"}, 0, false},
		{"more after it (§1.2.2)", []string{"7200 s"}, 0, false},
		{"quoted (§1.2.2)", []string{`"7200"`}, 0, false},
		{"a parameter of nothing (§5.1)", []string{";foo=1"}, 0, false},
	}
	for _, tt := range tests {
		if got, ok := rfc9111.ParseAge(tt.lines); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %q is %v, %v; want %v, %v", tt.name, tt.lines, got, ok, tt.want, tt.ok)
		}
	}
}

// FuzzAge: an age is the digits that it begins with, and nothing but blanks is between them and a comma or semicolon.
func FuzzAge(f *testing.F) {
	for _, line := range []string{"7200", "7200, 0", "7200;foo=111", "-1", "7200.0", "99999999999999999999", " 1 ;", ""} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, ok := rfc9111.ParseAge([]string{line, "1"})
		text := strings.Trim(line[:len(line)-len(strings.TrimLeft(line, "0123456789 \t"))], " \t")
		rest := line[len(line)-len(strings.TrimLeft(line, "0123456789 \t")):]
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil && strings.Trim(text, "0123456789") == "" && text != "" {
			n, err = 1<<31, nil
		}
		if want := err == nil && (rest == "" || rest[0] == ',' || rest[0] == ';'); ok != want {
			t.Errorf("%q: %v, want %v", line, ok, want)
		}
		if want := time.Duration(min(n, 1<<31)) * time.Second; ok && got != want || !ok && got != 0 {
			t.Errorf("%q is %v, want %v", line, got, want)
		}
	})
}
