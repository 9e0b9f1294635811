package surrogate_test

import (
	"slices"
	"testing"

	"github.com/larder-go/cache/internal/surrogate"
)

func TestTags(t *testing.T) {
	values := map[string]string{"id": "7", "lang": "de", "odd": "{id}"}
	for _, tt := range []struct {
		text   string
		params []string
		want   string // "": not to be filled
	}{
		{"products", nil, "products"},
		{"product:{id}", []string{"id"}, "product:7"},
		{"{id}", []string{"id"}, "7"},
		{"{id}{lang}", []string{"id", "lang"}, "7de"},
		{"a-{id}-b-{lang}-c", []string{"id", "lang"}, "a-7-b-de-c"},
		{"{id}-{id}", []string{"id", "id"}, "7-7"},
		{"x{odd}", []string{"odd"}, "x{id}"},
		{"a}b", nil, "a}b"},
		{"}{id}", []string{"id"}, "}7"},
		{"product:{none}", []string{"none"}, ""},
		{"{id}{none}", []string{"id", "none"}, ""},
		{" ", nil, " "},
	} {
		tag, err := surrogate.ParseTag(tt.text)
		if err != nil {
			t.Errorf("ParseTag(%q): %v", tt.text, err)
			continue
		}
		got, ok := tag.Fill(func(name string) string { return values[name] })
		if got != tt.want || ok != (tt.want != "") || !slices.Equal(tag.Params(), tt.params) {
			t.Errorf("%q: Fill = %q, %v, Params = %q; want %q, %q", tt.text, got, ok, tag.Params(), tt.want, tt.params)
		}
	}
	for _, text := range []string{"", "{", "{}", "a{", "a{id", "a{id}{", "a{}b", "{{id}}", "{a{b}"} {
		if tag, err := surrogate.ParseTag(text); err == nil || len(tag.Params()) > 0 {
			t.Errorf("ParseTag(%q) = %v, %v; want an error", text, tag, err)
		}
	}
}
