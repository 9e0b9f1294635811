package rfc9111_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
)

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func TestDates(t *testing.T) {
	at := func(year int, month time.Month, day, hour, minute, second int) time.Time {
		return time.Date(year, month, day, hour, minute, second, 0, time.UTC)
	}
	example := at(1994, 11, 6, 8, 49, 37)
	tests := []struct {
		name, date string
		want       time.Time // RFC 9110 §5.6.7 throughout
	}{
		{"IMF-fixdate", "Sun, 06 Nov 1994 08:49:37 GMT", example},
		{"rfc850-date", "Sunday, 06-Nov-94 08:49:37 GMT", example},
		{"asctime-date", "Sun Nov  6 08:49:37 1994", example},
		{"asctime, a day of two digits", "Sun Nov 13 08:49:37 1994", example.AddDate(0, 0, 7)},
		{"asctime, a zero before the day (date3)", "Sun Nov 06 08:49:37 1994", example},
		{"whitespace around a field's value (§5.5)", " \tSun, 06 Nov 1994 08:49:37 GMT ", example},
		{"a weekday in lower case", "sun, 06 Nov 1994 08:49:37 GMT", example},
		{"a weekday in upper case", "SUN, 06 Nov 1994 08:49:37 GMT", example},
		{"a month in lower case", "Sun, 06 nov 1994 08:49:37 GMT", example},
		{"a month in upper case", "Sun, 06 NOV 1994 08:49:37 GMT", example},
		{"a zone in lower case", "Sun, 06 Nov 1994 08:49:37 gmt", example},
		{"any case at all", "sUN, 06 noV 1994 08:49:37 gMt", example},
		{"rfc850, any case", "sUNDAY, 06-nOV-94 08:49:37 gmt", example},
		{"asctime, any case", "SUN nov  6 08:49:37 1994", example},
		{"another weekday than that of the date", "Mon, 06 Nov 1994 08:49:37 GMT", example},
		{"after 2038", "Thu, 01 Feb 2180 00:00:00 GMT", at(2180, 2, 1, 0, 0, 0)},
		{"the last year", "Fri, 31 Dec 9999 23:59:59 GMT", at(9999, 12, 31, 23, 59, 59)},
		{"a leap second", "Sat, 31 Dec 2016 23:59:60 GMT", at(2017, 1, 1, 0, 0, 0)},
		{"a leap day", "Thu, 29 Feb 2024 00:00:00 GMT", at(2024, 2, 29, 0, 0, 0)},
		{"two digits, the past", "Friday, 05-Jun-15 00:00:00 GMT", at(2015, 6, 5, 0, 0, 0)},
		{"two digits, 50 years ahead", "Wednesday, 01-Jul-76 12:00:00 GMT", now.AddDate(50, 0, 0)},
		{"two digits, more than 50 years ahead", "Wednesday, 01-Jul-76 12:00:01 GMT", at(1976, 7, 1, 12, 0, 1)},
		{"two digits, the past century", "Friday, 31-Dec-99 00:00:00 GMT", at(1999, 12, 31, 0, 0, 0)},
		{"two digits, a leap day", "Tuesday, 29-Feb-00 00:00:00 GMT", at(2000, 2, 29, 0, 0, 0)},
	}
	for _, tt := range tests {
		if got, ok := rfc9111.ParseDate(tt.date, now); !ok || !got.Equal(tt.want) || got.Location() != time.UTC {
			t.Errorf("%s: %q is %v, %v; want %v", tt.name, tt.date, got, ok, tt.want)
		}
	}
}

func TestNoDates(t *testing.T) {
	tests := []struct{ name, date string }{ // RFC 9110 §5.6.7, RFC 9111 §5.3
		{"nothing", ""},
		{"a number", "0"},
		{"words", "never"},
		{"UTC", "Sun, 06 Nov 1994 08:49:37 UTC"},
		{"another zone", "Sun, 06 Nov 1994 08:49:37 AEST"},
		{"an offset", "Sun, 06 Nov 1994 08:49:37 +0000"},
		{"no zone", "Sun, 06 Nov 1994 08:49:37"},
		{"a year of two digits", "Sun, 06 Nov 94 08:49:37 GMT"},
		{"a year of five digits", "Sun, 06 Nov 10994 08:49:37 GMT"},
		{"no comma", "Sun 06 Nov 1994 08:49:37 GMT"},
		{"no space after the comma", "Sun,06 Nov 1994 08:49:37 GMT"},
		{"several spaces", "Sun, 06  Nov  1994 08:49:37 GMT"},
		{"a tab", "Sun,\t06 Nov 1994 08:49:37 GMT"},
		{"dashes", "Sun, 06-Nov-1994 08:49:37 GMT"},
		{"periods in the time", "Sun, 06 Nov 1994 08.49.37 GMT"},
		{"an hour of one digit", "Sun, 06 Nov 1994 8:49:37 GMT"},
		{"a day of one digit", "Sun, 6 Nov 1994 08:49:37 GMT"},
		{"a day padded with a space", "Sun,  6 Nov 1994 08:49:37 GMT"},
		{"no seconds", "Sun, 06 Nov 1994 08:49 GMT"},
		{"parts of seconds", "Sun, 06 Nov 1994 08:49:37.5 GMT"},
		{"more after it", "Sun, 06 Nov 1994 08:49:37 GMT; x"},
		{"not a weekday", "Son, 06 Nov 1994 08:49:37 GMT"},
		{"a weekday that folds to one", "ſu, 06 Nov 1994 08:49:37 GMT"},
		{"rfc850, a weekday that folds to one", "ſunday, 06-Nov-94 08:49:37 GMT"},
		{"half a weekday", "Su., 06 Nov 1994 08:49:37 GMT"},
		{"digits for a weekday", "000, 06 Nov 1994 08:49:37 GMT"},
		{"what differs by the bit of case", "Sun\f 06 Nov 1994 08:49:37 GMT"},
		{"colons that do so", "Sun, 06 Nov 1994 08\x1a49\x1a37 GMT"},
		{"not a month", "Sun, 06 anF 1994 08:49:37 GMT"},
		{"hour 24", "Sun, 06 Nov 1994 24:00:00 GMT"},
		{"minute 60", "Sun, 06 Nov 1994 08:60:00 GMT"},
		{"second 61", "Sun, 06 Nov 1994 08:49:61 GMT"},
		{"day 0", "Sun, 00 Nov 1994 08:49:37 GMT"},
		{"day 31 of 30", "Thu, 31 Nov 1994 08:49:37 GMT"},
		{"no leap year", "Wed, 29 Feb 2023 00:00:00 GMT"},
		{"digits that are none", "Sun, ٠ Nov 1994 08:49:37 GMT"},
		{"rfc850, a short weekday", "Sun, 06-Nov-94 08:49:37 GMT"},
		{"rfc850, a year of four digits", "Sunday, 06-Nov-1994 08:49:37 GMT"},
		{"rfc850, UTC", "Sunday, 06-Nov-94 08:49:37 UTC"},
		{"rfc850, no weekday", ", 06-Nov-94 08:49:37 GMT"},
		{"rfc850, no such day", "Wednesday, 29-Feb-23 08:49:37 GMT"},
		{"asctime with a zone", "Sun Nov  6 08:49:37 1994 GMT"},
		{"asctime, one space", "Sun Nov 6 08:49:37 1994"},
		{"asctime, a year of two digits", "Sun Nov  6 08:49:37 94"},
		{"asctime, a long weekday", "Sunday Nov  6 08:49:37 1994"},
		{"asctime, day 0", "Sun Nov  0 08:49:37 1994"},
	}
	for _, tt := range tests {
		if got, ok := rfc9111.ParseDate(tt.date, now); ok || !got.IsZero() {
			t.Errorf("%s: %q is %v, %v", tt.name, tt.date, got, ok)
		}
	}
}

func TestADateAllocatesNothing(t *testing.T) {
	date := now.Format(http.TimeFormat)
	if n := testing.AllocsPerRun(100, func() { rfc9111.ParseDate(date, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
