package rfc9111

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// choice is a member of a field of content negotiation: what is acceptable, and how welcome it is, in thousandths.
type choice struct {
	text    string
	quality int
}

// accept returns the text of a list. In the fields of content negotiation the quality decides (RFC 9110 §12.4.2): q=1
// equals none, and 0.5 equals 0.50; members are in the order of their quality, without duplicates. A list with a member of
// another form, or with one thing at two qualities, keeps its order: nobody knows how it is read.
//
// Among members of equal quality the order has no meaning: §12.5.3 gives it none, and §12.5.4 says that nobody can rely on
// the order of languages. If a handler prefers the first of equals all the same, as golang.org/x/text/language does, a
// client gets a language that it wants just as much. Browsers give each language its own quality.
func accept(name string, list []string) string {
	asWritten := strings.Join(list, ",")
	parse := token
	switch name {
	case "Accept":
		parse = mediaRange
	case "Accept-Charset", "Accept-Encoding", "Accept-Language":
	default:
		return asWritten
	}
	choices := make([]choice, 0, len(list))
	for _, member := range list {
		c, ok := weighed(member, parse)
		if !ok {
			return asWritten
		}
		choices = append(choices, c)
	}
	slices.SortFunc(choices, func(a, b choice) int { return cmp.Or(b.quality-a.quality, strings.Compare(a.text, b.text)) })
	choices = slices.Compact(choices)
	if ambiguous(choices) {
		return asWritten
	}
	var b strings.Builder
	for i, c := range choices {
		if i > 0 {
			b.WriteByte(',')
		}
		c.write(&b)
	}
	return b.String()
}

// ambiguous reports whether one thing has two qualities.
func ambiguous(choices []choice) bool {
	seen := make(map[string]bool, len(choices))
	for _, c := range choices {
		if seen[c.text] {
			return true
		}
		seen[c.text] = true
	}
	return false
}

// weighed splits a member at its semicolons: what it is, and its weight at the end, if any.
func weighed(member string, parse func(parts []string) (string, bool)) (choice, bool) {
	var parts []string
	for more := true; more; {
		end, _ := span(member, ';')
		parts = append(parts, strings.Trim(member[:end], " \t"))
		if more = end < len(member); more {
			member = member[end+1:]
		}
	}
	c := choice{quality: 1000}
	if last := parts[len(parts)-1]; len(parts) > 1 && weight(last) {
		ok := false
		if c.quality, ok = quality(last[2:]); !ok {
			return c, false
		}
		parts = parts[:len(parts)-1]
	}
	if slices.ContainsFunc(parts, weight) {
		return c, false
	}
	var ok bool
	c.text, ok = parse(parts)
	return c, ok
}

func weight(part string) bool { return len(part) > 1 && part[0]|' ' == 'q' && part[1] == '=' }

// quality is a qvalue in thousandths.
func quality(s string) (thousandths int, ok bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if len(s) > 5 || !fits(whole, "0") || !fits(fraction, "000"[:min(len(fraction), 3)]) {
		return 0, false
	}
	thousandths = digits(whole)*1000 + digits((fraction + "000")[:3])
	return thousandths, thousandths <= 1000
}

func (c choice) write(b *strings.Builder) {
	b.WriteString(c.text)
	if c.quality == 1000 {
		return
	}
	b.WriteString(";q=0")
	if c.quality > 0 {
		b.WriteByte('.')
		for rest := c.quality; rest > 0; rest = rest % 100 * 10 {
			b.WriteByte('0' + byte(rest/100))
		}
	}
}

// token is a language range, a coding or a charset: they are case-insensitive (RFC 9110 §8.3.2, §8.4.1, §8.5.1).
func token(parts []string) (string, bool) {
	return strings.ToLower(parts[0]), len(parts) == 1 && httpguts.ValidHeaderFieldName(parts[0])
}

// mediaRange only removes the whitespace around semicolons.
func mediaRange(parts []string) (string, bool) {
	major, minor, ok := strings.Cut(parts[0], "/")
	ok = ok && httpguts.ValidHeaderFieldName(major) && httpguts.ValidHeaderFieldName(minor)
	return strings.Join(parts, ";"), ok && !slices.Contains(parts, "")
}

// AcceptsCoding reports whether the lines of an Accept-Encoding field accept any coding but identity (RFC 9110 §12.5.3).
// Without the field none is accepted, although §12.5.3 lets a server assume any: a client that sends none usually cannot
// decode any. A member that cannot be parsed counts as an accepted coding.
func AcceptsCoding(lines []string) bool {
	for _, line := range lines {
		for _, member := range members(line) {
			c, ok := weighed(member, token)
			if member != "" && (!ok || c.quality > 0 && c.text != "identity") {
				return true
			}
		}
	}
	return false
}

// Prefers reports whether the lines of an Accept or Accept-Language field prefer one value to another (RFC 9110 §12.5.1,
// §12.5.4): a media type without parameters, or a language. The most specific member counts; what no member covers is not
// acceptable. Members that cannot be parsed are skipped.
func Prefers(lines []string, one, other string) bool {
	return welcome(lines, strings.ToLower(one)) > welcome(lines, strings.ToLower(other))
}

func welcome(lines []string, value string) (quality int) {
	longest := -1
	for _, line := range lines {
		for _, member := range members(line) {
			c, ok := weighed(member, func(parts []string) (string, bool) { return strings.ToLower(parts[0]), true })
			if ok && len(c.text) > longest && covers(c.text, value) {
				longest, quality = len(c.text), c.quality
			}
		}
	}
	return quality
}

// covers reports whether a range covers the value. Of two languages of which one is a prefix of the other, each covers the
// other.
func covers(span, value string) bool {
	switch span {
	case "":
		return false
	case "*", "*/*", value:
		return true
	}
	whole, wildcard := strings.CutSuffix(span, "/*")
	return wildcard && strings.HasPrefix(value, whole+"/") || strings.HasPrefix(value, span+"-") || strings.HasPrefix(span, value+"-")
}
