package rfc9111

import (
	"strconv"

	"github.com/dunglas/httpsfv"
)

// A Directive is one of a Cache-Control field or of one like it. The Value of a directive that HasValue may be empty.
type Directive struct {
	Name, Value string
	HasValue    bool
}

// ParseTargeted reads the lines of a targeted field, such as CDN-Cache-Control (RFC 9213 §2.1), a Dictionary of RFC 9651.
// It is false when the field counts as absent (§2.2): without lines, empty, not a Dictionary, or with a directive of the
// wrong type: times are Integers that are not negative, in seconds, all others are Booleans. A false Boolean is no
// directive. Members that are no directives we know, and parameters, are left out; a field of nothing else is true, as it
// still replaces Cache-Control (§3.1). The directives come in the order of the field, their values in decimal.
func ParseTargeted(lines []string) (directives []Directive, ok bool) {
	dictionary, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dictionary.Names()) == 0 {
		return nil, false
	}
	for _, name := range dictionary.Names() {
		timed, known := targetedTypes[name]
		if !known {
			continue
		}
		member, _ := dictionary.Get(name)
		item, _ := member.(httpsfv.Item)
		switch value := item.Value.(type) {
		case int64:
			if !timed || value < 0 {
				return nil, false
			}
			directives = append(directives, Directive{Name: name, Value: strconv.FormatInt(value, 10), HasValue: true})
		case bool:
			if timed {
				return nil, false
			}
			if value {
				directives = append(directives, Directive{Name: name})
			}
		default:
			return nil, false
		}
	}
	return directives, true
}

// targetedTypes are the directives of a targeted field, and whether they give a time.
var targetedTypes = map[string]bool{
	"max-age": true, "s-maxage": true, "stale-while-revalidate": true, "stale-if-error": true,
	"no-store": false, "no-cache": false, "private": false, "public": false, "must-revalidate": false,
	"proxy-revalidate": false, "must-understand": false, "no-transform": false, "immutable": false,
}
