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

// Find looks in memory for what the text selects: by the text, or by its key where memory does not know the text yet. It
// does no I/O, takes no lock shared by all and allocates nothing once the text is known. What it returns may be served;
// stale entries are to be refreshed. The error is that of [keying.Text.Key].
func (t *Through) Find(text *keying.Text, now time.Time) (keying.Key, *Entry, Use, error) {
	if t.recaller != nil {
		if e, ok := t.recaller.Recall(text.Hash(), text.Bytes(), now); ok {
			use := t.servable(e, now)
			if use == NoUse {
				return e.Key, nil, NoUse, nil
			}
			return e.Key, e, use, nil
		}
	}
	key, err := text.Key()
	if err != nil {
		return key, nil, NoUse, err
	}
	e, use := t.Peek(key, now)
	if e != nil && t.recaller != nil {
		t.recaller.Remember(key, text.Hash(), text.Bytes())
	}
	return key, e, use, nil
}
