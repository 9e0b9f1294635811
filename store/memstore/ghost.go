package memstore

import (
	"encoding/binary"
	"math"

	"github.com/larder-go/cache/keying"
)

// A ghost remembers the keys of newcomers that were dropped unasked, by fingerprint, until so many others were dropped. It
// takes four to eight bytes for each of the keys that it was made for. It is guarded by its shard's lock.
type ghost struct {
	sets   [][ghostWays]ghostMark
	memory uint16 // in steps
	step   uint32 // how many keys one tick of the clock takes
	count  uint32
}

const ghostWays = 4

// A ghostMark is a fingerprint and the step at which it came; zero is none.
type ghostMark struct{ print, at uint16 }

func newGhost(keys int) ghost {
	sets := 1
	for sets*ghostWays < keys {
		sets *= 2
	}
	g := ghost{sets: make([][ghostWays]ghostMark, sets), step: uint32(max(1, keys/256))}
	g.memory = uint16(max(1, uint32(keys)/g.step))
	g.count = g.step * (2 + uint32(g.memory)) // a mark that is zero is too old
	return g
}

// at takes other parts of the key than the index does.
func (g *ghost) at(key *keying.Key) (set *[ghostWays]ghostMark, print uint16) {
	h := binary.LittleEndian.Uint64(key[24:])
	return &g.sets[(h>>16)&uint64(len(g.sets)-1)], uint16(h)
}

func (g *ghost) now() uint16            { return uint16(g.count / g.step) }
func (g *ghost) age(m ghostMark) uint16 { return g.now() - m.at }

// add remembers the key in place of the oldest of its set.
func (g *ghost) add(key *keying.Key) {
	g.count++
	set, print := g.at(key)
	oldest := 0
	for i := range set {
		if g.age(set[i]) > g.age(set[oldest]) {
			oldest = i
		}
	}
	set[oldest] = ghostMark{print, g.now()}
}

// take reports whether the key was one of about so many that were dropped last, and forgets it.
func (g *ghost) take(key *keying.Key, last int) bool {
	memory := min(g.memory, uint16(min(uint32(last)/g.step, math.MaxUint16)))
	set, print := g.at(key)
	for i, m := range set {
		if m.print == print && g.age(m) <= memory {
			set[i].at = g.now() - g.memory - 1
			return true
		}
	}
	return false
}
