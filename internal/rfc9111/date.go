package rfc9111

import (
	"slices"
	"strings"
	"time"
)

// ParseDate parses an HTTP-date in one of its three forms (RFC 9110 §5.6.7), in any case. Another zone than GMT, or another
// number of digits or spaces, is invalid. http.ParseTime accepts more, and a cache that does so stores responses whose
// Expires all others take for a past date (RFC 9111 §5.3).
//
// A wrong weekday is accepted. Second 60 is a leap second, and counts as the next minute. A year of two digits is the last
// such year that is not more than 50 years after now. The time is in UTC; it is zero if s is not a date.
func ParseDate(s string, now time.Time) (t time.Time, ok bool) {
	s = strings.Trim(s, " \t")
	switch strings.IndexByte(s, ',') {
	case -1:
		return asctime(s)
	case 3:
		return fixdate(s)
	}
	return rfc850(s, now)
}

// The layouts of names, in a calendar's order.
var (
	weekdays = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
	months   = []string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}
)

func index(layouts []string, s string) int {
	return slices.IndexFunc(layouts, func(layout string) bool { return fits(s, layout) })
}

// fixdate reads IMF-fixdate: Sun, 06 Nov 1994 08:49:37 GMT.
func fixdate(s string) (time.Time, bool) {
	if !fits(s, "..., 00 ... 0000 00:00:00 GMT") || !weekday(s[:3]) {
		return time.Time{}, false
	}
	return moment(digits(s[12:16]), s[8:11], digits(s[5:7]), s[17:25])
}

// asctime reads what C's asctime prints, with a space before a day of one digit: Sun Nov  6 08:49:37 1994.
func asctime(s string) (time.Time, bool) {
	if !fits(s, "... ... 00 00:00:00 0000") && !fits(s, "... ...  0 00:00:00 0000") || !weekday(s[:3]) {
		return time.Time{}, false
	}
	return moment(digits(s[20:]), s[4:7], digits(strings.TrimLeft(s[8:10], " ")), s[11:19])
}

// rfc850 reads the form of RFC 850: Sunday, 06-Nov-94 08:49:37 GMT.
func rfc850(s string, now time.Time) (time.Time, bool) {
	day, rest, _ := strings.Cut(s, ",")
	if !fits(rest, " 00-...-00 00:00:00 GMT") || index(weekdays, day) < 0 {
		return time.Time{}, false
	}
	now = now.UTC()
	last := now.AddDate(50, 0, 0)
	year := now.Year() - now.Year()%100 + 100 + digits(rest[8:10])
	for {
		t, ok := moment(year, rest[4:7], digits(rest[1:3]), rest[11:19])
		if year <= last.Year() && !t.After(last) {
			return t, ok
		}
		year -= 100
	}
}

// fits compares s with a layout: a 0 is any digit, a dot is any byte, a letter is itself in either case, anything else is
// itself.
func fits(s, layout string) bool {
	if len(s) != len(layout) {
		return false
	}
	for i := range len(s) {
		switch c := layout[i]; {
		case c == '.':
		case c == '0' && '0' <= s[i] && s[i] <= '9':
		case lower(c) != lower(s[i]) || c == '0':
			return false
		}
	}
	return true
}

// lower converts ASCII only: a date has no other letters.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func weekday(short string) bool {
	return slices.ContainsFunc(weekdays, func(long string) bool { return fits(short, long[:3]) })
}

// digits is the number in a few digits.
func digits(s string) (n int) {
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// moment is false for a day that the month does not have, and for a time that does not exist.
func moment(year int, month string, day int, clock string) (time.Time, bool) {
	m := time.Month(index(months, month) + 1)
	hour, minute, second := digits(clock[:2]), digits(clock[3:5]), digits(clock[6:])
	if m == 0 || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	if date := time.Date(year, m, day, 0, 0, 0, 0, time.UTC); date.Month() != m || date.Day() != day {
		return time.Time{}, false
	}
	return time.Date(year, m, day, hour, minute, second, 0, time.UTC), true
}

// ParseAge parses the lines of an Age field, in whole seconds (RFC 9111 §5.1). Of several values the first one counts,
// since each cache on the way may have added a line; a parameter after it is ignored. Values above 2^31 s count as 2^31 s
// (§1.2.2). Without a line, or without a number, it returns 0 and false.
func ParseAge(lines []string) (age time.Duration, ok bool) {
	if len(lines) == 0 {
		return 0, false
	}
	value, _, _ := strings.Cut(lines[0], ",")
	value, _, _ = strings.Cut(value, ";")
	return Seconds(strings.Trim(value, " \t"))
}
