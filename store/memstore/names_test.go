package memstore_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store/memstore"
	"github.com/larder-go/cache/store/storetest"
)

// hashOf is what stands for the hash of a key's text; many have the same.
func hashOf(key keying.Key) uint64 { return uint64(binary.LittleEndian.Uint32(key[:]) % 97 << 25) }

// recalls fails the test unless the text leads to an entry of that body, or to none if it is "".
func recalls(t *testing.T, s *memstore.Store, hash uint64, text, want string) {
	t.Helper()
	got := ""
	if e, ok := s.Recall(hash, []byte(text), time.Now()); ok {
		got = string(e.Body)
	}
	if got != want {
		t.Errorf("%q leads to %q; want %q", text, got, want)
	}
}

func TestATextLeadsToWhatIsUnderItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, o := range []memstore.Options{{}, {MaxEntries: 10}} {
			s := open(t, o)
			key := storetest.Key("k")
			s.Remember(key, 1, []byte("text")) // of nothing
			recalls(t, s, 1, "text", "")
			_ = set(t, s, "k", "old", time.Minute)
			recalls(t, s, 1, "text", "")
			text := []byte("text")
			s.Remember(key, 1, text)
			text[0] = 'n' // it was copied
			recalls(t, s, 1, "text", "old")
			recalls(t, s, 1, "next", "")
			recalls(t, s, 2, "text", "")
			_ = set(t, s, "k", "new", time.Second)
			recalls(t, s, 1, "text", "new")
			time.Sleep(time.Second)
			recalls(t, s, 1, "text", "") // at the instant of its expiry
			_ = set(t, s, "k", "newer", time.Minute)
			s.Remember(key, 1, []byte("text"))
			recalls(t, s, 1, "text", "newer")
			_ = s.Delete(t.Context(), key)
			recalls(t, s, 1, "text", "")
			if err := s.Check(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTextsCountAsBytes(t *testing.T) {
	s := open(t, memstore.Options{})
	_ = set(t, s, "k", "body", time.Minute)
	before := s.Bytes()
	s.Remember(storetest.Key("k"), 1, []byte(strings.Repeat("x", 1000)))
	if n := s.Bytes() - before; n != 1000 {
		t.Errorf("a text of 1,000 bytes counts as %d", n)
	}
	s.Remember(storetest.Key("k"), 2, []byte("another"))
	_ = set(t, s, "other", "body", time.Minute)
	s.Remember(storetest.Key("other"), 3, []byte(strings.Repeat("x", 2000)))
	if n := s.Bytes() - 2*before; n != 1000 {
		t.Errorf("with a second text of its own and one that is too long, %d more bytes; want 1,000", n)
	}
}

// Where there is no room for a text others go; the bounds hold.
func TestTextsAreWithinTheBounds(t *testing.T) {
	s := open(t, memstore.Options{MaxBytes: 64 << 10})
	for i := range 1000 {
		name := fmt.Sprint(i)
		_ = set(t, s, name, "body", time.Minute)
		s.Remember(storetest.Key(name), uint64(i), []byte(strings.Repeat(name, 200)))
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
	}
	if s.Len() == 0 {
		t.Error("nothing is left")
	}
}

func TestRecallAllocatesNothing(t *testing.T) {
	s := open(t, memstore.Options{})
	_ = set(t, s, "k", "body", time.Minute)
	s.Remember(storetest.Key("k"), 1, []byte("text"))
	text, now := []byte("text"), time.Now()
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Recall(1, text, now) }); n != 0 {
		t.Errorf("Recall allocates %v times", n)
	}
}
