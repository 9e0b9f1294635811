package rfc9111

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// MaxVary is how many fields may select a response. Each of them multiplies the number of responses to store.
const MaxVary = 8

// VaryNames returns the fields that the lines of a Vary field name (RFC 9110 §12.5.5): canonical, sorted, without
// duplicates. Empty members are skipped. It returns false, without names, if no later request can be known to match (RFC
// 9111 §4.1): for "*", for a member that is not a field name, and for more than MaxVary names. Without lines it returns no
// names, and true.
func VaryNames(lines []string) (names []string, ok bool) {
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			member = strings.Trim(member, " \t")
			if member == "" {
				continue
			}
			if member == "*" || !httpguts.ValidHeaderFieldName(member) {
				return nil, false
			}
			if name := http.CanonicalHeaderKey(member); !slices.Contains(names, name) {
				names = append(names, name)
			}
			if len(names) > MaxVary {
				return nil, false
			}
		}
	}
	slices.Sort(names)
	return names, true
}

// maxSelection is the longest request field, in bytes, that is worth normalizing.
const maxSelection = 4096

// Selection returns the text by which a request field selects a response (RFC 9111 §4.1): lines of the same meaning have
// the same text, lines of different meanings never do. A field without lines is not present, which is different from an
// empty one.
//
// It removes the differences that §4.1 permits: one list on one line or on several, the whitespace around its commas; in
// the fields of content negotiation also what accept does. Empty members count: they are visible to whoever reads a field
// as one text. A field of more than 4096 bytes is left as it is, as is a list with a quoted string that does not end in its
// line. The text is its own Selection. A handler that reads only the first line of a field must get what Fold makes of it.
func Selection(name string, values []string) (normal string, present bool) {
	if len(values) == 0 {
		return "", false
	}
	name = http.CanonicalHeaderKey(name)
	if single[name] {
		return joined(name, values), true
	}
	line, ok := oneLine(values)
	if !ok {
		return joined(name, values), true
	}
	return accept(name, members(line)), true
}

// oneLine joins the lines of a list; it is not ok if the list must be left as it is.
func oneLine(lines []string) (line string, ok bool) {
	line = strings.Join(lines, ",")
	return line, len(line) <= maxSelection && !slices.ContainsFunc(lines, open)
}

// Fold puts each list of a request's header on one line (RFC 9110 §5.3). Otherwise a handler that reads only the first line
// could treat fields differently that have the same Selection. The lines are replaced, not changed.
func Fold(h http.Header) {
	for name, lines := range h {
		if len(lines) < 2 || single[http.CanonicalHeaderKey(name)] {
			continue
		}
		if _, ok := oneLine(lines); ok {
			h[name] = []string{strings.Join(lines, ", ")}
		}
	}
}

// single are the fields that are not lists, although they may contain commas: their whitespace may have a meaning. The
// entity tags of If-Match may end in a backslash, which would hide the end of a quoted string.
var single = map[string]bool{
	"Accept-Datetime": true, "Authorization": true, "Content-Disposition": true, "Content-Location": true,
	"Content-Range": true, "Content-Type": true, "Cookie": true, "Date": true, "Expires": true, "From": true,
	"Host": true, "If-Match": true, "If-Modified-Since": true, "If-None-Match": true, "If-Range": true,
	"If-Unmodified-Since": true, "Last-Modified": true, "Origin": true, "Proxy-Authorization": true, "Range": true,
	"Referer": true, "User-Agent": true, "Via": true, "Warning": true,
}

// joined returns the lines unchanged except for the whitespace around them. Cookie may be split into lines at each "; "
// (RFC 9113 §8.2.3), and a line without a cookie says nothing; other fields are joined by a line end, which no line
// contains.
func joined(name string, lines []string) string {
	trimmed := make([]string, 0, len(lines))
	for _, line := range lines {
		if line = strings.Trim(line, " \t"); line != "" || name != "Cookie" {
			trimmed = append(trimmed, line)
		}
	}
	if name == "Cookie" {
		return strings.Join(trimmed, "; ")
	}
	return strings.Join(trimmed, "\n")
}

// open reports whether a quoted string begins in the line and does not end there.
func open(line string) bool {
	_, closed := span(line, '\n')
	return !closed
}

// members returns the members of a list without the whitespace around them (RFC 9110 §5.6.1). A comma in a quoted string
// (§5.6.4) does not separate; a quoted string without an end goes on to the end of the line.
func members(line string) (list []string) {
	for {
		end, _ := span(line, ',')
		list = append(list, strings.Trim(line[:end], " \t"))
		if end == len(line) {
			return list
		}
		line = line[end+1:]
	}
}

// span is the length of s up to the first byte until outside of a quoted string, or of all of s; closed is false if s ends
// in a quoted string.
func span(s string, until byte) (end int, closed bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == until && !quoted:
			return i, true
		}
	}
	return len(s), !quoted
}
