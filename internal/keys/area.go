package keys

import (
	"cmp"
	"encoding/binary"
	"strings"

	"github.com/larder-go/cache/keying"
)

// Areas is how many areas a path lies in, each within the one before.
const Areas = 3

// An Area is what lies below the first Level segments of a path, on whatever host: purges that are too many to be
// remembered one by one are remembered as one of their area. Level 0 is no part of a path: labels fall into its areas by
// chance. Areas are few, so that some have things in common that do not belong together.
type Area struct {
	Level uint8
	id    uint16
}

// A label of areas begins with zeros, as no other does but by a chance of 2 to the 72nd, and a byte that says of how many
// segments the area is that is meant; 0 if all are. Their digests follow.
const (
	areaByte  = 9
	areaMark  = 0x40
	areasFrom = len(keying.Label{}) - 2*Areas
)

// Place labels where a path lies: in its areas of one, two and three segments. The path is one of [Path].
func (l Labeler) Place(path string) (label keying.Label) {
	label[areaByte] = areaMark
	path = cmp.Or(path, "/")
	for level, end := 0, 0; level < Areas; level++ {
		at := areasFrom + 2*level
		if level > 0 && end == len(path) { // there are no more segments
			copy(label[at:], label[at-2:at])
			continue
		}
		end = segmentEnd(path, end)
		binary.BigEndian.PutUint16(label[at:], l.area(path[:end]))
	}
	return label
}

// segmentEnd is where the segment ends that begins with the slash at from.
func segmentEnd(path string, from int) int {
	if from < len(path) {
		if more := strings.IndexByte(path[from+1:], '/'); more >= 0 {
			return from + 1 + more
		}
	}
	return len(path)
}

// area is a digest of the beginning of a path, which tells nothing of it to whoever does not know the secret, if there is
// one.
func (l Labeler) area(prefix string) uint16 {
	if l.macs != nil {
		key := l.label("area", prefix)
		return binary.BigEndian.Uint16(key[:])
	}
	h := uint32(2166136261) // FNV-1a
	for i := range len(prefix) {
		h = (h ^ uint32(prefix[i])) * 16777619
	}
	return uint16(h>>16) ^ uint16(h)
}

// Within returns the label of a place with the level of the area that is meant.
func Within(l keying.Label, level uint8) keying.Label {
	l[areaByte] = areaMark | min(level, Areas)
	return l
}

// Meant returns the area that a label of a place means; of one that means none, and of any other label, it is false.
func Meant(l keying.Label) (Area, bool) {
	level := l[areaByte] &^ areaMark
	return AreaOf(l, level), IsPlace(l) && 0 < level && level <= Areas
}

// IsPlace reports whether the label is one of a place.
func IsPlace(l keying.Label) bool {
	return [areaByte]byte(l[:areaByte]) == [areaByte]byte{} && l[areaByte]&areaMark != 0
}

// AreaOf returns the area of the level: of a label of a place its own, at level 0 any label's by chance.
func AreaOf(l keying.Label, level uint8) Area {
	at := 0
	if level > 0 {
		at = areasFrom + 2*int(level-1)
	}
	return Area{level, binary.BigEndian.Uint16(l[min(at, len(l)-2):])}
}
