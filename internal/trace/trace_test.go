package trace_test

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/trace"
	"github.com/larder-go/cache/keying"
)

func key(n int) *keying.Key {
	k := keying.Key(sha256.Sum256(binary.AppendVarint(nil, int64(n))))
	return &k
}

// What a table says of a key is so, or it says that it does not know: whatever else was noted, however much.
func TestATableSaysWhatItKnows(t *testing.T) {
	for _, size := range []int{0, 100, 5000, 1 << 20} {
		table, now := trace.New(size), time.Now()
		const n = 20_000
		for i := range n {
			if got := table.Of(key(i), now); got == trace.Early || got == trace.Over {
				t.Fatalf("%d: key %d is known before it was noted: %d", size, i, got)
			}
			table.Note(key(i), time.Duration(1+i%2*2)*time.Minute, now)
			if got := table.Of(key(i), now); got != trace.Early {
				t.Fatalf("%d: key %d, noted just now: %d", size, i, got)
			}
		}
		known := 0
		for i := range n {
			want := []trace.Known{trace.Over, trace.Early}[i%2]
			switch got := table.Of(key(i), now.Add(2*time.Minute)); got {
			case want:
				known++
			case trace.Unknown:
			default:
				t.Fatalf("%d: key %d: %d; want %d, or nothing", size, i, got, want)
			}
		}
		if least := min(max(size, 64), 7000) / 2; known < least {
			t.Errorf("%d: %d keys are known; want %d at least", size, known, least)
		}
	}
}

// A key that is noted again has the time that it was noted with last, and takes no other's room.
func TestAKeyIsNotedOnce(t *testing.T) {
	table, now := trace.New(64), time.Now()
	for i := range 1000 {
		table.Note(key(1), time.Duration(i)*time.Second, now)
	}
	for n := range 10 {
		if got := table.Of(key(100+n), now); got != trace.Never {
			t.Errorf("another key: %d; want that it never was", got)
		}
	}
	if a, b := table.Of(key(1), now.Add(998*time.Second)), table.Of(key(1), now.Add(1000*time.Second)); a != trace.Early || b != trace.Over {
		t.Errorf("%d, then %d", a, b)
	}
}

// Of keys that are noted at the same time none is taken for one that never was.
func TestNotesAtOnce(t *testing.T) {
	table, now := trace.New(64), time.Now()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 500 {
				k := key(worker*500 + i)
				table.Note(k, time.Hour, now)
				if got := table.Of(k, now); got == trace.Never || got == trace.Over {
					t.Errorf("a key that was noted: %d", got)
				}
			}
		})
	}
	wg.Wait()
}

func TestNoTableKnowsNothing(t *testing.T) {
	var table *trace.Table
	table.Note(key(1), 0, time.Now())
	if got := table.Of(key(1), time.Now()); got != trace.Unknown {
		t.Errorf("%d", got)
	}
}

// Whatever the clock says, and however long a key is to be kept.
func TestAnyTime(t *testing.T) {
	for _, now := range []time.Time{{}, time.Unix(0, 0), time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Now(), time.Date(2261, 1, 1, 0, 0, 0, 0, time.UTC)} {
		for keep, want := range map[time.Duration]trace.Known{1<<63 - 1: trace.Early, time.Second: trace.Early, 0: trace.Over, -1 << 63: trace.Over} {
			table := trace.New(64)
			if table.Note(key(1), keep, now); table.Of(key(1), now) != want {
				t.Errorf("%v after %v: %d; want %d", keep, now, table.Of(key(1), now), want)
			}
		}
	}
}
