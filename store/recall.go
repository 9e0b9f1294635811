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
// stale entries are to be refreshed. If there is nothing it returns the text's key, or the error of [keying.Text.Key].
func (t *Through) Find(text *keying.Text, now time.Time) (e *Entry, use Use, key keying.Key, err error) {
	if t.recaller != nil {
		if e, ok := t.recaller.Recall(text.Hash(), text.Bytes(), now); ok {
			if use := t.servable(e, now); use != NoUse {
				return e, use, key, nil
			}
			return nil, NoUse, e.Key, nil
		}
	}
	if key, err = text.Key(); err != nil {
		return nil, NoUse, key, err
	}
	if e, use = t.Peek(key, now); e != nil && t.recaller != nil {
		t.recaller.Remember(key, text.Hash(), text.Bytes())
	}
	return e, use, key, nil
}
