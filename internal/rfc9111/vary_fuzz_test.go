package rfc9111_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"

	"github.com/larder-go/cache/internal/rfc9111"
)

// FuzzVaryNames: names are field names, canonical and in order; the order of members and their case do not matter.
func FuzzVaryNames(f *testing.F) {
	f.Add("Accept, x-a", "*")
	f.Add("a,b,c,d,e,f,g,h", ",i")
	f.Add(" accept ,,", "ACCEPT\t")
	f.Fuzz(func(t *testing.T, line, more string) {
		names, ok := rfc9111.VaryNames([]string{line, more})
		if !ok && names != nil || len(names) > rfc9111.MaxVary || !slices.IsSorted(names) {
			t.Errorf("%q, %q: %q, %v", line, more, names, ok)
		}
		for i, name := range names {
			if !httpguts.ValidHeaderFieldName(name) || http.CanonicalHeaderKey(name) != name || name == "*" || i > 0 && names[i-1] == name ||
				!strings.Contains(strings.ToLower(line+","+more), strings.ToLower(name)) {
				t.Errorf("%q, %q: %q", line, more, names)
			}
		}
		for _, other := range [][]string{{more, line}, {line + "," + more}, names, {line, more, line}} {
			if again, ok2 := rfc9111.VaryNames(other); ok2 != ok && (ok || len(other) > 0) || !slices.Equal(again, names) {
				t.Errorf("%q, %q: %q, %v; and %q: %q, %v", line, more, names, ok, other, again, ok2)
			}
		}
	})
}

var selects = []string{"X-List", "Accept-Language", "Accept-Encoding", "Accept-Charset", "Accept", "Cookie", "User-Agent"}

// FuzzSelection: a text means what it was made of, so that two of different meanings never have one text; what is written
// otherwise without another meaning has the same one.
func FuzzSelection(f *testing.F) {
	for i, pair := range [][2]string{{"1, 2", " 3 "}, {"en, de;q=0.50", "fr;q=1."}, {"gzip;q=0", "br"}, {"a;q=2", "b;q=0.001"},
		{`a/b; c="d, e";q=0.5`, "*/*;q=0.1"}, {"a=1; b=2", "c=3"}, {"a (b, c)", ""}, {`"a\", b`, `c", d`}} {
		f.Add(uint8(i), pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, field uint8, line, more string) {
		if len(line)+len(more) > 4000 || !httpguts.ValidHeaderFieldValue(line) || !httpguts.ValidHeaderFieldValue(more) {
			return
		}
		name := selects[int(field)%len(selects)]
		for _, lines := range [][]string{{line}, {line, more}, {line + "," + more}} {
			text, present := rfc9111.Selection(name, lines)
			if again, _ := rfc9111.Selection(name, strings.Split(text, "\n")); !present || again != text {
				t.Errorf("%s: %q is %q, and again %q", name, lines, text, again)
			}
			if got, want := meaning(name, strings.Split(text, "\n")), meaning(name, lines); got != want {
				t.Errorf("%s: %q is %q, which means %q, not %q", name, lines, text, got, want)
			}
		}
		if name == "Cookie" || name == "User-Agent" || !closed(line) || !closed(more) {
			return
		}
		want, _ := rfc9111.Selection(name, []string{line, more})
		for _, lines := range [][]string{{line + "," + more}, {" " + line + "\t,  " + more}} {
			if got, _ := rfc9111.Selection(name, lines); got != want {
				t.Errorf("%s: %q is %q, want %q", name, lines, got, want)
			}
		}
	})
}
