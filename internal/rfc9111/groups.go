package rfc9111

import (
	"slices"

	"github.com/dunglas/httpsfv"
)

// Bounds of a Cache-Groups field; RFC 9875 §2 requires at least 32 groups of 32 characters.
const (
	maxGroups    = 128
	maxGroupSize = 256
)

// ParseGroups returns the groups that the lines of a Cache-Groups or a Cache-Group-Invalidation field name (RFC 9875 §2,
// §3), a List of Strings of RFC 9651: in order, without duplicates or parameters, case-sensitive. A field of any other form
// names none. Names of more than 256 bytes are skipped, and so is everything after 128 groups.
func ParseGroups(lines []string) []string {
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return nil
	}
	var groups []string
	for _, member := range list {
		item, _ := member.(httpsfv.Item)
		group, ok := item.Value.(string)
		if !ok {
			return nil
		}
		if len(group) <= maxGroupSize && len(groups) < maxGroups && !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	return groups
}

// ClearsCache reports whether the lines of a Clear-Site-Data field ask to clear the site's cache: a list of quoted strings
// with "cache" or "*" among them (Clear Site Data §3.1). Without quotes they mean nothing.
func ClearsCache(lines []string) bool {
	for _, line := range lines {
		if list := members(line); slices.Contains(list, `"cache"`) || slices.Contains(list, `"*"`) {
			return true
		}
	}
	return false
}
