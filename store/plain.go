package store

// ones has a one in every byte.
const ones = 0x0101010101010101

// plain reports whether every byte of s may stand in a header value without a further look: none below a space, no DEL. It
// takes eight bytes at a time, the last eight once more where the length is odd, and says no to what is shorter than that.
func plain(s string) bool {
	if len(s) < 8 {
		return false
	}
	bad := uint64(0)
	for i := 0; i <= len(s)-8; i += 8 {
		bad |= controls(word(s[i:]))
	}
	return (bad|controls(word(s[len(s)-8:])))&(ones<<7) == 0
}

// controls sets the high bit of some byte if there is one below a space or a DEL in w.
func controls(w uint64) uint64 {
	del := w ^ ones*0x7f
	return (w-ones*' ')&^w | (del-ones)&^del
}

func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
