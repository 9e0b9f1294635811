package rfc9111

import (
	"net/http"
	"slices"
	"strings"
)

// Connection returns the fields that the lines of a Connection field list: they are for this connection alone (RFC 9110
// §7.6.1).
func Connection(lines []string) (names []string) {
	for _, line := range lines {
		for option := range strings.SplitSeq(line, ",") {
			if option = strings.Trim(option, " \t"); option != "" {
				names = append(names, http.CanonicalHeaderKey(option))
			}
		}
	}
	return names
}

// Hop reports whether a field of this canonical name is about one connection or one hop, so that no cache stores it
// (§3.1).
func Hop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authentication-Info",
		"Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return false
}

// Upgrades reports whether the lines of a Connection field have the option that makes an Upgrade field count (RFC 9110 §7.8).
func Upgrades(connection []string) bool {
	return slices.ContainsFunc(connection, func(line string) bool {
		for option := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "upgrade") {
				return true
			}
		}
		return false
	})
}

// Takeable reports whether the lines of an Upgrade field offer a protocol that a handler could switch to. Other versions of
// HTTP, and TLS, are for the server: if it has passed the request on, it has declined them. Clients may offer them with any
// request (RFC 9110 §7.8).
func Takeable(upgrade []string) bool {
	return slices.ContainsFunc(upgrade, func(line string) bool {
		for protocol := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(protocol), "/")
			switch strings.ToLower(name) {
			case "", "http", "h2", "h2c", "h3", "tls":
			default:
				return true
			}
		}
		return false
	})
}

// First returns the first line of a field, or "" if there is none.
func First(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}
