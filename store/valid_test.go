package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/store"
)

// TestAnInvalidValueIsNamed by its field, wherever its line stands among those of the others.
func TestAnInvalidValueIsNamed(t *testing.T) {
	fields := []store.Field{
		{Name: "None"}, {Name: "Two", Values: []string{"1", "2"}}, {Name: "Nor-Here"}, {Name: "One", Values: []string{"x"}}, {Name: "Last"},
	}
	for _, f := range fields {
		for i, line := range f.Values {
			f.Values[i] = "a value\x00"
			for kind, e := range map[string]*store.Entry{
				"Header": {Stored: time.UnixMilli(1), Header: store.MakeHeader(fields...)},
				"Added":  {Stored: time.UnixMilli(1), Added: fields},
			} {
				if err := e.Validate(); err == nil || !strings.HasSuffix(err.Error(), " "+f.Name) {
					t.Errorf("line %d of %s, in %s: %v", i, f.Name, kind, err)
				}
			}
			f.Values[i] = line
		}
	}
}
