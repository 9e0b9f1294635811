package readthrough

import (
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// memory is implemented by stores that are, or have in front, memory which others stand behind: reading it is reading them.
type memory interface{ Memory() store.Local }

// memoryOf is the store's memory, or nil.
func memoryOf(s store.Store) store.Local {
	if m, ok := s.(memory); ok {
		return m.Memory()
	}
	local, _ := s.(store.Local)
	return local
}

// Found is what memory has.
type Found struct {
	Entry *store.Entry // nil: nothing that may be served
	Use   Use
	Left  time.Duration // of its freshness
	Key   keying.Key    // of what was looked for; with an entry, whose Key it is, it may be zero
}

// Find looks in memory for what the text selects: by the text, or by its key where memory does not know the text yet. It
// does no I/O, takes no lock shared by all and allocates nothing once the text is known. What it finds may be served;
// stale entries are to be refreshed. It goes to f, which is zero before: to copy it would cost a hit a twentieth of its
// time. The error is that of [keys.Text.Key].
func (t *Cache) Find(text *keys.Text, now time.Time, f *Found) (err error) {
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
