package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A field is a header field as cases have it: a name alone, or a list that begins with it.
type field struct {
	name string
	rest []any
}

func (f *field) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, &f.name)
	}
	var list []any
	if err := json.Unmarshal(data, &list); err != nil || len(list) == 0 {
		return fmt.Errorf("%s is no header field: %w", data, err)
	}
	f.name, f.rest = fmt.Sprint(list[0]), list[1:]
	return nil
}

// silent reports that the client need not see the field.
func (f field) silent() bool { return len(f.rest) > 1 && f.rest[1] != true }

var (
	dates     = []string{"date", "expires", "last-modified", "if-modified-since", "if-unmodified-since"}
	locations = []string{"location", "content-location"}
)

// value is the field's value on the wire: numbers in dates are seconds from now, and locations may be below the base.
func (f field) value(s *step, now time.Time, base string) string {
	name := strings.ToLower(f.name)
	if len(f.rest) == 0 {
		return ""
	}
	text, ok := f.rest[0].(string)
	if number, isNumber := f.rest[0].(float64); isNumber {
		text = strconv.FormatFloat(number, 'f', -1, 64)
		if slices.Contains(dates, name) {
			layout := http.TimeFormat
			if slices.Contains(s.RFC850, name) {
				layout = "Monday, 02-Jan-06 15:04:05 GMT"
			}
			text = now.Add(time.Duration(number * float64(time.Second))).UTC().Format(layout)
		}
	}
	if slices.Contains(locations, name) && s.MagicLocations && ok {
		text = strings.TrimSuffix(base+"/"+text, "/")
	}
	return latin1(text)
}

// latin1 is how the original suite's client and server write text into header fields.
func latin1(text string) string {
	line := make([]byte, 0, len(text))
	for _, r := range text {
		line = append(line, byte(r))
	}
	return string(line)
}

// An interim is a 1xx answer: its status and its header.
type interim struct {
	status int
	header []field
}

func (i *interim) UnmarshalJSON(data []byte) error {
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil || len(list) == 0 {
		return fmt.Errorf("%s is no interim answer: %w", data, err)
	}
	if len(list) > 1 {
		if err := json.Unmarshal(list[1], &i.header); err != nil {
			return err
		}
	}
	return json.Unmarshal(list[0], &i.status)
}
