package store_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/storetest"
)

func sameFields(a, b []store.Field) bool {
	return slices.EqualFunc(a, b, func(a, b store.Field) bool { return a.Name == b.Name && slices.Equal(a.Values, b.Values) })
}

// However many layouts there are, and whoever makes headers meanwhile, each header has its own fields.
func TestAHeaderHasItsOwnFields(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				fields := []store.Field{
					{Name: fmt.Sprint("X-", i), Values: []string{fmt.Sprint(g)}},
					{Name: "X-Lines", Values: slices.Repeat([]string{"a"}, (g+i)%3)},
					{Name: fmt.Sprint("Y-", i%7), Values: []string{"b", "c"}},
				}
				if h := store.MakeHeader(fields...); !sameFields(h.Fields(), fields) {
					t.Errorf("Fields = %v; want %v", h.Fields(), fields)
				}
			}
		})
	}
	wg.Wait()
}

func TestLinesAreThoseOfTheField(t *testing.T) {
	h := store.MakeHeader(store.Field{Name: "A", Values: []string{"1", "2"}}, store.Field{Name: "B"}, store.Field{Name: "a", Values: []string{"3"}})
	for name, want := range map[string][]string{"A": {"1", "2"}, "a": {"3"}, "B": {}, "b": nil, "": nil} {
		if got := h.Lines(name); !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("Lines(%q) = %#v; want %#v", name, got, want)
		}
	}
	var none store.Header
	if none.Len() != 0 || none.Lines("A") != nil || none.Fields() != nil {
		t.Errorf("the zero Header has %v", none.Fields())
	}
}

// Headers of one layout share its names; what they are made of may be changed afterwards.
func TestAHeaderKeepsNothingOfWhatItIsMadeOf(t *testing.T) {
	values := []string{"1"}
	fields := []store.Field{{Name: "A", Values: values}}
	h := store.MakeHeader(fields...)
	values[0], fields[0].Name = "2", "B"
	if got := h.Lines("A"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("Lines = %v; want the value that was given", got)
	}
}

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

// What net/http would panic at, send wrongly or cut short is no entry, neither on its way into a store nor out of one.
func TestWhatNetHTTPWouldChokeOnIsRefused(t *testing.T) {
	field := func(name string, lines ...string) func(*store.Entry) {
		return func(e *store.Entry) { e.Header = store.MakeHeader(store.Field{Name: name, Values: lines}) }
	}
	for name, test := range map[string]struct {
		change func(*store.Entry)
		ok     bool
	}{
		"as it is":          {func(*store.Entry) {}, true},
		"data":              {func(e *store.Entry) { e.Status = 0 }, true},
		"its length":        {field("Content-Length", "4"), true},
		"interim":           {func(e *store.Entry) { e.Status = 103 }, false},
		"not modified":      {func(e *store.Entry) { e.Status = 304 }, false},
		"beyond HTTP":       {func(e *store.Entry) { e.Status = 1000 }, false},
		"no content with":   {func(e *store.Entry) { e.Status = 204 }, false},
		"no content":        {func(e *store.Entry) { e.Status, e.Body = 204, nil }, true},
		"shorter":           {field("Content-Length", "3"), false},
		"longer":            {field("Content-Length", "5"), false},
		"another spelling":  {field("content-length", "5"), false},
		"no number":         {field("Content-Length", "+4"), false},
		"two lengths":       {field("Content-Length", "4", "4"), false},
		"an added length":   {func(e *store.Entry) { e.Added = []store.Field{{Name: "Content-Length", Values: []string{"4"}}} }, false},
		"chunked":           {field("Transfer-Encoding", "chunked"), false},
		"close":             {field("connection", "close"), false},
		"an added trailer":  {func(e *store.Entry) { e.Added = []store.Field{{Name: "Trailer", Values: []string{"X"}}} }, false},
		"a name of trailer": {field("Trailer:X", "1"), false},
		"a second line":     {field("X", "a\r\nSet-Cookie: b"), false},
	} {
		e := storetest.Entry(storetest.Key("k"), "body")
		e.Header, e.Added = store.Header{}, nil
		test.change(e)
		if err := e.Validate(); (err == nil) != test.ok {
			t.Errorf("%s: %v; want it taken: %t", name, err, test.ok)
		}
	}
}
