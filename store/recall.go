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

// Found is what memory has.
type Found struct {
	Entry *Entry // nil: nothing that may be served
	Use   Use
	Left  time.Duration // of its freshness
	Key   keying.Key    // of what was looked for; with an entry, whose Key it is, it may be zero
}

// Find looks in memory for what the text selects: by the text, or by its key where memory does not know the text yet. It
// does no I/O, takes no lock shared by all and allocates nothing once the text is known. What it finds may be served;
// stale entries are to be refreshed. It goes to f, which is zero before: to copy it would cost a hit a twentieth of its
// time. The error is that of [keying.Text.Key].
func (t *Through) Find(text *keying.Text, now time.Time, f *Found) (err error) {
	if t.recaller != nil {
		if e, ok := t.recaller.Recall(text.Hash(), text.Bytes(), now); ok {
			f.Left = e.Left(now)
			if f.Use = t.servable(e, now, f.Left); f.Use != NoUse {
				f.Entry = e
			} else {
				f.Key = e.Key
			}
			return nil
		}
	}
	if f.Key, err = text.Key(); err != nil {
		return err
	}
	if f.Entry, f.Use = t.Peek(f.Key, now); f.Entry != nil {
		f.Left = f.Entry.Left(now)
		if t.recaller != nil {
			t.recaller.Remember(f.Key, text.Hash(), text.Bytes())
		}
	}
	return nil
}
