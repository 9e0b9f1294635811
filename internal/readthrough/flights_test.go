package readthrough_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

// Keys that end alike share a list of flights and nothing else, in whatever order their loads end.
func TestFlightsOfOneListKeepApart(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			s := memstore.New(memstore.Options{})
			defer s.Close()
			th := through(t, s, store.NewLog())
			var keys [3]keying.Key
			var ends [3]chan struct{}
			var all sync.WaitGroup
			for i := range keys {
				keys[i][0], ends[i] = byte(i+1), make(chan struct{})
				all.Go(func() {
					wantLoaded(t, th.Get(t.Context(), keys[i], func(run *readthrough.Run) readthrough.Verdict {
						<-ends[i]
						return kept(fmt.Sprint(i))(run)
					}))
				})
				synctest.Wait()
			}
			for _, i := range order {
				for range 2 {
					all.Go(func() { wantEntry(t, th.Get(t.Context(), keys[i], kept("another")), fmt.Sprint(i), readthrough.Shared) })
				}
				synctest.Wait()
				close(ends[i])
				synctest.Wait()
				wantEntry(t, th.Get(t.Context(), keys[i], kept("another")), fmt.Sprint(i), readthrough.Stored)
			}
			all.Wait()
			time.Sleep(time.Minute) // past all that was kept: nobody is waited for any more
			wantLoaded(t, th.Get(t.Context(), keys[0], kept("new")))
		})
	}
}
