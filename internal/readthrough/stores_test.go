package readthrough_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
	"github.com/larder-go/cache/store/storetest"
)

// moody is a far store that can be away.
type moody struct {
	store.Store
	away bool
}

var errAway = errors.New("away")

func (m *moody) Get(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	if m.away {
		return nil, false, errAway
	}
	return m.Store.Get(ctx, key)
}

// While the far store cannot be asked a near copy stands in, for as long as the policy has declared, unless it was purged.
func TestNearCopiesStandInForAFarStoreThatIsAway(t *testing.T) {
	label := keys.NewLabeler(nil).Tag("x")
	tests := []struct {
		name    string
		outage  time.Duration
		after   time.Duration
		away    bool
		purged  bool
		loads   int // in all: the first fills the stores
		faulted bool
	}{
		{"near", 20 * time.Second, 4 * time.Second, true, false, 1, false},
		{"past its near time", 20 * time.Second, 6 * time.Second, true, false, 1, true},
		{"past its near time, and nothing is declared", 0, 6 * time.Second, true, false, 2, true},
		{"past what is declared", 20 * time.Second, 26 * time.Second, true, false, 2, true},
		{"past its near time, and Far is there", 20 * time.Second, 6 * time.Second, false, false, 1, false},
		{"purged", 20 * time.Second, 6 * time.Second, true, true, 2, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, there := memstore.New(memstore.Options{}), memstore.New(memstore.Options{})
				defer near.Close()
				defer there.Close()
				log, far := readthrough.NewLog(), &moody{Store: there}
				faults, loads := 0, 0
				layered := layers{near: near, far: far, ttl: 5 * time.Second, outage: tt.outage}
				th := over(layered, log, time.Second, func(r readthrough.Report) {
					if r.Err != nil {
						faults++
					}
				})
				get := func() {
					key := storetest.Key("k")
					if e, _ := th.Peek(key, time.Now()); e != nil {
						return
					}
					th.Get(t.Context(), key, func(run *readthrough.Run) readthrough.Verdict {
						loads++
						run.Entry.Stored, run.Entry.Fresh, run.Entry.Labels = time.Now(), time.Minute, []keying.Label{label}
						return readthrough.Cacheable
					})
				}
				get()
				time.Sleep(tt.after)
				far.away = tt.away
				if tt.purged {
					if err := log.Append(t.Context(), store.Record{Labels: []keying.Label{label}}); err != nil {
						t.Fatal(err)
					}
				}
				get()
				if loads != tt.loads || faults > 0 != tt.faulted {
					t.Errorf("%d loads and %d faults; want %d loads, and faults: %v", loads, faults, tt.loads, tt.faulted)
				}
			})
		})
	}
}
