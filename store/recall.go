package store

import (
	"time"

	"github.com/larder-go/cache/keying"
)

// A Recaller is memory that knows an entry again by the text that selects it, without the digest that is its key.
type Recaller interface {
	Local
	// Recall returns what memory holds under the text, whose hash is given, and marks it as used, as Peek does with a key. It
	// does not allocate. What has expired by now is absent. The text is the caller's.
	Recall(hash uint64, text []byte, now time.Time) (*Entry, bool)
	// Remember notes the text, which it copies, of what is held under the key. Where there is nothing, or the text is known,
	// it does nothing.
	Remember(key keying.Key, hash uint64, text []byte)
}

// memory is implemented by stores that are, or have in front, memory which others stand behind: reading it is reading them.
type memory interface{ Memory() Local }

// memoryOf is the store's memory, or nil.
func memoryOf(s Store) Local {
	if m, ok := s.(memory); ok {
		return m.Memory()
	}
	local, _ := s.(Local)
	return local
}

// Recall is Peek by the text that selects the answer. nil: memory does not know the text; it may hold the answer all the
// same.
func (t *Through) Recall(text *keying.Text, now time.Time) (*Entry, Use) {
	if t.recaller == nil {
		return nil, NoUse
	}
	e, ok := t.recaller.Recall(text.Hash(), text.Bytes(), now)
	if !ok {
		return nil, NoUse
	}
	return t.usable(e, now)
}

// Remember lets memory know an entry by its text that Peek has found there by its key.
func (t *Through) Remember(text *keying.Text, key keying.Key) {
	if t.recaller != nil {
		t.recaller.Remember(key, text.Hash(), text.Bytes())
	}
}
