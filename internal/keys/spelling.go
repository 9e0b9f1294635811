package keys

import (
	"cmp"
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// One URL has many spellings. Keys take each for itself, for an app can tell them apart. What is to be forgotten must be
// found however it is written, and to forget more than that does no harm: so labels take for one what RFC 3986 §6.2.2 and
// §6.2.3 do, and escapes that some layer on the way may have written or not, net/http among them.

// Path returns the URL's path in the spelling that labels have: escaped where it must be and nowhere else, with upper-case
// digits, without dots, "/" if it is empty.
func Path(u *url.URL) string {
	path := u.RawPath
	if plain, err := url.PathUnescape(path); path == "" || err != nil || plain != u.Path {
		path = u.EscapedPath()
	}
	return withoutDots(cmp.Or(respell(path, bareInPath, unescapedInPath), "/"))
}

// Origin returns the scheme and host of an origin in the spelling that labels have: in lower case, without the scheme's own
// port (RFC 3986 §6.2.3), the dot of the root of names, and the zone of an address, which is for its host alone. Names of
// other letters than ASCII's are as clients send them (RFC 5891 §4.4): "xn--bcher-kva.example".
func Origin(scheme, host string) (string, string) {
	scheme, host = strings.ToLower(scheme), strings.ToLower(host)
	name, port := host, ""
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		name, port = host[:colon], strings.TrimLeft(host[colon+1:], "0")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
		if ascii, err := idna.Lookup.ToASCII(name); err == nil {
			name = ascii
		}
	}
	name = strings.TrimSuffix(name, ".")
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, _, _ = strings.Cut(strings.TrimSuffix(inner, "]"), "%")
		if address, err := netip.ParseAddr(inner); err == nil {
			name = "[" + address.String() + "]"
		}
	}
	if port == "" || scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		return scheme, name
	}
	return scheme, name + ":" + port
}

// normalQuery returns the query in the spelling that labels have. Parameters stay as many as they were, and in their order.
func normalQuery(raw string) string { return respell(raw, bareInQuery, unescapedInQuery) }

// respell writes bytes bare that may stand so, and takes the escapes off those that mean the same without; all others are
// escaped.
func respell(text string, bare, unescaped func(c byte) bool) string {
	if wellSpelt(text, bare) { // as most are
		return text
	}
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c, escaped := text[i], escapeAt(text, i)
		if escaped {
			c = unhex(text[i+1])<<4 | unhex(text[i+2])
			i += 2
		}
		if escaped && unescaped(c) || !escaped && (bare(c) || c == '%') {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

func wellSpelt(text string, bare func(c byte) bool) bool {
	for i := range len(text) {
		if !bare(text[i]) {
			return false
		}
	}
	return true
}

func escapeAt(text string, i int) bool {
	return text[i] == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2])
}

// unhex is the value of a hexadecimal digit.
func unhex(c byte) byte {
	if c >= 'A' {
		return c&7 + 9
	}
	return c - '0'
}

// What may stand in a segment of a path (RFC 3986 §3.3) means the same with an escape: also the delimiters among it, which
// net/http escapes where it has no spelling of the path.
func unescapedInPath(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0
}

func bareInPath(c byte) bool { return unescapedInPath(c) || c == '/' }

// In a query some of it separates parameters, or is a space.
func unescapedInQuery(c byte) bool { return bareInQuery(c) && strings.IndexByte("&=+;", c) < 0 }

func bareInQuery(c byte) bool { return bareInPath(c) || c == '?' }

// withoutDots removes dot segments (RFC 3986 §5.2.4): clients do so before they ask, and some routers.
func withoutDots(path string) string {
	if !strings.Contains(path, "/.") || path[0] != '/' {
		return path
	}
	segments := strings.Split(path[1:], "/")
	kept := segments[:0]
	for _, segment := range segments {
		switch {
		case segment == "..":
			kept = kept[:max(len(kept)-1, 0)]
		case segment != ".":
			kept = append(kept, segment)
		}
	}
	if last := path[strings.LastIndexByte(path, '/'):]; last == "/." || last == "/.." {
		kept = append(kept, "")
	}
	return "/" + strings.Join(kept, "/")
}
