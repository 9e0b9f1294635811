package store_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/larder-go/cache/store"
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
