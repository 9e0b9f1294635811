package rfc9111_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/larder-go/cache/internal/rfc9111"
)

func TestVaryNames(t *testing.T) {
	eight := "a, b, c, d, e, f, g, h"
	tests := []struct {
		name  string
		lines []string
		want  string
		ok    bool
	}{
		{"no line (RFC 9111 §4.1)", nil, "", true},
		{"an empty line (RFC 9110 §5.6.1)", []string{""}, "", true},
		{"one (RFC 9110 §12.5.5)", []string{"accept"}, "Accept", true},
		{"sorted", []string{"x-b, Accept", "X-A"}, "Accept X-A X-B", true},
		{"once each (RFC 9110 §5.1: the case does not matter)", []string{"Accept, ACCEPT", "accept"}, "Accept", true},
		{"empty members (RFC 9110 §5.6.1)", []string{", Accept,,\t,", ","}, "Accept", true},
		{"a star (RFC 9111 §4.1)", []string{"*"}, "", false},
		{"a star among others", []string{"Accept, *"}, "", false},
		{"a star after an empty member", []string{", *"}, "", false},
		{"a star on another line", []string{"Accept", " * "}, "", false},
		{"no token (RFC 9110 §5.1)", []string{"Accept Language"}, "", false},
		{"quoted", []string{`"Accept"`}, "", false},
		{"a colon", []string{"Accept:"}, "", false},
		{"8", []string{eight}, "A B C D E F G H", true},
		{"8, given twice", []string{eight, eight}, "A B C D E F G H", true},
		{"9", []string{eight, "i"}, "", false},
	}
	for _, tt := range tests {
		got, ok := rfc9111.VaryNames(tt.lines)
		if strings.Join(got, " ") != tt.want || ok != tt.ok {
			t.Errorf("%s: %q is %q, %v; want %q, %v", tt.name, tt.lines, got, ok, tt.want, tt.ok)
		}
	}
}

// TestSelections: those of a row are equal, those of different rows of one field are not.
func TestSelections(t *testing.T) {
	type row [][]string
	lines := func(s ...string) []string { return s }
	tests := []struct {
		field, section string
		rows           []row
	}{
		{"foo", "RFC 9111 §4.1", []row{
			{nil, {}}, {lines(""), lines(" ")}, {lines("", ""), lines(" , ")}, {lines(" , ,"), lines("", ",")},
			{lines("1"), lines(" 1 ")}, {lines("1,"), lines("1", "")}, {lines("", "1"), lines(",1")},
			{lines("1, 2"), lines("1,2"), lines(" 1,\t2 "), lines("1", "2")}, {lines("1,", ",2"), lines("1, , ,2")},
			{lines("2, 1")}, {lines("1, 1")}, {lines("1 2")}, {lines("1  2")}, {lines("12")}, {lines("1;2")}, {lines("1; 2")}, {lines("A")}, {lines("a")},
		}},
		{"X-Quoted", "RFC 9110 §5.6.4", []row{
			{lines(`"a,b"`), lines(` "a,b" `)}, {lines(`"a,b",`)}, {lines(`"a, b"`)}, {lines(`"a","b"`), lines(`"a" , "b"`)}, {lines("a,b")}, {lines(`"a\",b"`)}, {lines(`"a\"", b"`)},
			{lines(`"a\", b"`)}, {lines(`"a`, `b"`)}, {lines(`"a,`, `b"`)}, {lines(`"a`)}, {lines(`a="b, c";d`)}, {lines(`a="b,c";d`)}, {lines(`"\`)}, {lines(`"\", "a"`)},
		}},
		{"Cookie", "RFC 9113 §8.2.3", []row{
			{lines("a=1; b=2"), lines("a=1", "b=2"), lines(" a=1", "b=2 ")}, {lines("b=2; a=1")}, {lines("a=1,b=2")}, {lines("a=1, b=2")}, {lines("a=1;b=2")},
			{lines("a=1"), lines("a=1", " ")}, {lines("")}, {nil},
		}},
		{"User-Agent", "RFC 9110 §10.1.5", []row{{lines("a (b,c)"), lines(" a (b,c) ")}, {lines("a (b, c)")}, {lines("a (b", "c)")}, {lines("a (b,", "c)")}}},
		{"If-None-Match", "RFC 9110 §8.8.3", []row{{lines(`"a\", "b"`)}, {lines(`"a\","b"`)}, {lines(`"a\"`, `"b"`)}}},
		{"If-Modified-Since", "RFC 9110 §5.6.7", []row{{lines("Sun, 06 Nov 1994 08:49:37 GMT")}, {lines("Sun,06 Nov 1994 08:49:37 GMT")}}},
		{"Accept-Language", "RFC 9110 §12.4.2, §12.5.4", []row{
			{lines("en, de"), lines("de, en"), lines("EN", "De"), lines("en;q=1,de;q=1.000"), lines("en,de,en"), lines("en ; Q=1., de")},
			{lines("en, de;q=0.5"), lines("de;q=0.50,en"), lines("en", "de; q=0.500")},
			{lines("en;q=0.5, de")}, {lines("en")}, {lines("en-GB")}, {lines("*")}, {lines("en,de;q=0"), lines("en,de;q=0.000")}, {lines("en,de;q=0.001")}, {nil}, {lines("")},
			{lines("en;q=2, de")}, {lines("de, en;q=2")}, {lines("EN;q=2, de")}, {lines("en;q=.5")}, {lines("en;q=0.5000")}, {lines("en;q=1.001")}, {lines("en;q=")}, {lines("en;q=01")}, {lines("en;q=0x5")}, {lines("en;q=1.0.")}, {lines("en;q")},
			{lines("en;q =0.5")}, {lines("en;x=1")}, {lines("en;q=0.5;q=0.5")}, {lines("en;q=1;x=1")}, {lines("en;")}, {lines(";q=1")}, {lines("en us")}, {lines("EN us")},
			{lines("en, en;q=0.5")}, {lines("en;q=0.5, en")},
		}},
		{"Accept-Encoding", "RFC 9110 §12.5.3", []row{
			{lines("gzip, br"), lines("br", "GZIP")}, {lines("gzip, br;q=0.9")}, {lines("gzip, identity;q=0"), lines("identity;q=0.0,gzip;q=1.0")}, {lines("")}, {nil}, {lines("x-gzip, br")},
		}},
		{"Accept-Charset", "RFC 9110 §12.5.2", []row{{lines("utf-8, latin1;q=0.1"), lines("Latin1;q=0.10", "UTF-8")}, {lines("utf-8")}}},
		{"Accept", "RFC 9110 §12.5.1", []row{
			{lines("text/html, text/plain;q=0.5"), lines("text/plain; q=0.5,text/html"), lines("text/html;q=1.0", "text/plain ;\tq=0.500", "text/html")},
			{lines("text/html;level=1"), lines("text/html; level=1"), lines("text/html ;level=1;q=1")}, {lines("text/html")}, {lines("Text/html")}, {lines("text/html;level=2")},
			{lines(`a/b;c="d,e", f/g`), lines(`f/g,a/b ; c="d,e"`)}, {lines(`a/b;c="d, e", f/g`)}, {lines(`a/b;c="d;q=0.5", f/g`)}, {lines(`a/b;c="d; q=0.5", f/g`)},
			{lines("a/b;q=0.5;x=1, c/d")}, {lines("c/d, a/b;q=0.5;x=1")}, {lines("a/b;q=0.5, a/b")}, {lines("a/b, a/b;q=0.5")}, {lines("c/d, *")}, {lines("*, c/d")}, {lines("*/*")},
		}},
	}
	for _, tt := range tests {
		var texts []string
		for _, row := range tt.rows {
			first := selection(tt.field, row[0])
			for _, other := range row[1:] {
				if got := selection(tt.field, other); got != first {
					t.Errorf("%s (%s): %q is %q, and %q is %q", tt.field, tt.section, row[0], first, other, got)
				}
			}
			if i := slices.Index(texts, first); i >= 0 {
				t.Errorf("%s (%s): %q and %q are both %q", tt.field, tt.section, tt.rows[i][0], row[0], first)
			}
			texts = append(texts, first)
		}
	}
}

// TestALongFieldIsLeftAsItIs: 4096 bytes are put in order, one more is not (RFC 9111 §4.1 allows it, and asks for nothing).
func TestALongFieldIsLeftAsItIs(t *testing.T) {
	for size, want := range map[int]bool{4096: true, 4097: false} {
		there, back := "en,"+strings.Repeat("x", size-3), strings.Repeat("x", size-3)+",en"
		if got := selection("Accept-Language", []string{there}) == selection("Accept-Language", []string{back}); got != want {
			t.Errorf("%d bytes: equal %v", size, got)
		}
		if got := selection("Foo", []string{"en", there[3:]}) == selection("Foo", []string{there}); got != want {
			t.Errorf("%d bytes on two lines: equal %v", size, got)
		}
	}
}

func selection(field string, lines []string) string {
	text, present := rfc9111.Selection(field, lines)
	if !present {
		return "absent" + text
	}
	return "present: " + text
}

func TestAcceptsCoding(t *testing.T) {
	for _, row := range []struct {
		lines []string
		want  bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{" , "}, false},
		{[]string{"identity"}, false},
		{[]string{"identity;q=1, gzip;q=0"}, false},
		{[]string{"*;q=0"}, false},
		{[]string{"gzip;Q=0.000", "br; q=0"}, false},
		{[]string{"gzip"}, true},
		{[]string{"GZIP"}, true},
		{[]string{"x-gzip;q=0.001"}, true},
		{[]string{"*"}, true},
		{[]string{"identity, *;q=0.1"}, true},
		{[]string{"gzip;q=0", "zstd"}, true},
		{[]string{"dcb"}, true},
		{[]string{"gzip;level=9"}, true},
		{[]string{"gzip;q=x"}, true},
	} {
		if got := rfc9111.AcceptsCoding(row.lines); got != row.want {
			t.Errorf("AcceptsCoding(%q) = %t", row.lines, got)
		}
	}
}
