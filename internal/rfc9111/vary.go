package rfc9111

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// MaxVary is how many fields may select a response. Each of them multiplies what there is to store.
const MaxVary = 8

// VaryNames are the fields that the lines of a Vary field name (RFC 9110 §12.5.5): canonical, sorted, each one once. Empty
// members are skipped. It is false, with no names, when no later request can be known to match (RFC 9111 §4.1): for "*",
// for a member that is no field name, and for more than MaxVary names. No lines are no names, and true.
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

// maxSelection is how many bytes of a request field are worth the work.
const maxSelection = 4096

// Selection is a request field as it selects among responses (RFC 9111 §4.1): lines of one meaning have one text, lines of
// different meanings never do. A field without lines is not present, and that is another selection than an empty one.
//
// What is made equal is what §4.1 allows: one list on one line or on several, the whitespace around its commas; in the
// fields of content negotiation also what accept says. Empty members count: whoever reads a field as one text sees them. A
// field of more than 4096 bytes is left as it is, as is a list with a quoted string that does not end in its line. The text
// is its own Selection. Handlers that read a field's first line alone must be shown what Fold makes of it.
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

// oneLine is a list that may stand on several lines on one.
func oneLine(lines []string) (line string, ok bool) {
	line = strings.Join(lines, ",")
	return line, len(line) <= maxSelection && !slices.ContainsFunc(lines, open)
}

// Fold puts each list of a request's header on one line (RFC 9110 §5.3), so that nobody can take fields for different ones
// that are one Selection, by reading the first line alone. The lines are replaced, not changed.
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

// single are the fields that are no lists, although they may have commas: there is no whitespace in them that we know to
// mean nothing. The entity tags of If-Match may end in a backslash, which would hide the end of a quoted string.
var single = map[string]bool{
	"Accept-Datetime": true, "Authorization": true, "Content-Disposition": true, "Content-Location": true,
	"Content-Range": true, "Content-Type": true, "Cookie": true, "Date": true, "Expires": true, "From": true,
	"Host": true, "If-Match": true, "If-Modified-Since": true, "If-None-Match": true, "If-Range": true,
	"If-Unmodified-Since": true, "Last-Modified": true, "Origin": true, "Proxy-Authorization": true, "Range": true,
	"Referer": true, "User-Agent": true, "Via": true, "Warning": true,
}

// joined are the lines as they are, but for whitespace around them. Cookie may be split into lines at each "; " (RFC 9113
// §8.2.3), and one without a cookie says nothing; elsewhere a line end is what no line has.
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

// open reports whether a quoted string begins in the line that does not end there.
func open(line string) bool {
	_, closed := span(line, '\n')
	return !closed
}

// members are those of a list without the whitespace around them (RFC 9110 §5.6.1). A comma in a quoted string (§5.6.4) is
// none of the list's; one that does not end goes on to the end of the line.
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

// span is the length of s up to the first such byte outside of a quoted string, or that of all of it; closed is false when
// it ends in such a string.
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
