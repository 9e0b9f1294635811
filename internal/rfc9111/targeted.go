package rfc9111

import (
	"strconv"

	"github.com/dunglas/httpsfv"
)

// A Directive is one directive of a Cache-Control field, or of a field like it. The Value of a directive that HasValue may
// be empty.
type Directive struct {
	Name, Value string
	HasValue    bool
}

// ParseTargeted parses the lines of a targeted field, such as CDN-Cache-Control (RFC 9213 §2.1), a Dictionary of RFC 9651.
// It is false if the field counts as absent (§2.2): without lines, empty, not a Dictionary, or with a directive of the
// wrong type. Times are non-negative Integers, in seconds. All others are Booleans; no-cache and private may also be
// Strings or Tokens, which name fields as in Cache-Control. A false Boolean is no directive. Unknown members and parameters
// are left out; a field with nothing else is still true, because it replaces Cache-Control (§3.1). If a directive is given
// twice, the last one counts. The directives are in the order of the field, times in decimal.
func ParseTargeted(lines []string) (directives []Directive, ok bool) {
	dictionary, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dictionary.Names()) == 0 {
		return nil, false
	}
	for _, name := range dictionary.Names() {
		takes, known := targetedTypes[name]
		if !known {
			continue
		}
		member, _ := dictionary.Get(name)
		item, _ := member.(httpsfv.Item)
		d, said := Directive{Name: name, HasValue: true}, true
		switch value := item.Value.(type) {
		case int64:
			d.Value, ok = strconv.FormatInt(value, 10), takes == seconds && value >= 0
		case string:
			d.Value, ok = value, takes == fieldNames
		case httpsfv.Token:
			d.Value, ok = string(value), takes == fieldNames
		case bool:
			d.HasValue, said, ok = false, value, takes != seconds
		default:
			ok = false
		}
		if !ok {
			return nil, false
		}
		if said {
			directives = append(directives, d)
		}
	}
	return directives, true
}

// argumentType is the value that a directive of a targeted field may have, besides a Boolean.
type argumentType uint8

const (
	none       argumentType = iota
	seconds                 // it must have one
	fieldNames              // it may name the fields that it is about
)

var targetedTypes = map[string]argumentType{
	"max-age": seconds, "s-maxage": seconds, "stale-while-revalidate": seconds, "stale-if-error": seconds,
	"no-cache": fieldNames, "private": fieldNames,
	"no-store": none, "public": none, "must-revalidate": none, "proxy-revalidate": none, "must-understand": none,
	"no-transform": none, "immutable": none,
}
