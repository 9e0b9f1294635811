package middleware

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/larder-go/cache/internal/rfc9111"
)

const (
	normalSlots = 256
	maxNormal   = 512 // bytes of a line; what is longer comes from nobody's browser
)

// normals remembers what [rfc9111.Selection] makes of the lines that requests bring again and again: those of content
// negotiation, of which there are few and which say nothing of a client that is its own. It is small, fixed and forgetful:
// lines that meet in a slot take it from each other. The zero normals is ready to use, by any number of goroutines.
type normals struct {
	slots [normalSlots]atomic.Pointer[normal]
}

// A normal is a field's line and the text that selects by it.
type normal struct{ name, line, text string }

var lineSeed = maphash.MakeSeed()

// selection is rfc9111.Selection.
func (n *normals) selection(name string, lines []string) (text string, present bool) {
	if !negotiates(name) || len(lines) != 1 || len(lines[0]) > maxNormal {
		return rfc9111.Selection(name, lines)
	}
	slot := &n.slots[maphash.String(lineSeed, lines[0])%normalSlots]
	if known := slot.Load(); known != nil && known.line == lines[0] && known.name == name {
		return known.text, true
	}
	text, present = rfc9111.Selection(name, lines)
	slot.Store(&normal{name, strings.Clone(lines[0]), strings.Clone(text)}) // a request's memory is not to be kept
	return text, present
}

func negotiates(name string) bool {
	switch name {
	case "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language":
		return true
	}
	return false
}
