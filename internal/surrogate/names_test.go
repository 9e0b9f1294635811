package surrogate

import (
	"strings"
	"testing"
)

func FuzzTagFits(f *testing.F) {
	f.Add("product:{id}", "7", "product:7")
	f.Add("{a}/x/{b}.html", "1", "1/x/1.html")
	f.Add("plain", "", "plain")
	f.Fuzz(func(t *testing.T, template, value, other string) {
		tag, err := ParseTag(template)
		if err != nil {
			return
		}
		if text, ok := tag.Fill(func(string) string { return value }); ok && !tag.fits(text) {
			t.Errorf("%q does not fit %q, which it is", text, template)
		}
		if len(tag.Params()) == 0 && tag.fits(other) != (other == template) {
			t.Errorf("%q fits %q: %v", other, template, other != template)
		}
		if outline := Outline(other); !strings.HasPrefix(other, outline) {
			t.Errorf("%q is no beginning of %q", outline, other)
		}
	})
}

func TestChanges(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"product", "produkt", 1}, {"prodct", "product", 1}, {"kitten", "sitting", 3}} {
		if got := changes(tt.a, tt.b); got != tt.want || changes(tt.b, tt.a) != got {
			t.Errorf("%q and %q: %d changes; want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
