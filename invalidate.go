package cache

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Successful unsafe requests purge, and anybody may send those. The purge log that processes share keeps so many records,
// and each process reads them all: so beyond a few at once, what answers purge within a moment is one record. Nobody's
// purge is put off until after his answer: he waits for the record, unless the log's store is given a rest.
const (
	jointEvery  = 10 * time.Millisecond // from one record to the next
	jointBurst  = 50                    // records at once, after a while without any
	jointLabels = 16                    // URLs of one area in a record; beyond them it names all of the area

	riseEvery = time.Second // from one event about purges that were widened to the next
)

// invalidate purges what an answer says is no longer so.
func (c *Cache) invalidate(ctx context.Context, r store.Record) error {
	if c.tiers.Poster != nil && c.tiers.Poster.Rests() {
		return c.post(ctx, r)
	}
	own, first := c.joints.join(r, time.Now())
	switch {
	case own == nil:
		return c.post(ctx, r)
	case !first:
		<-own.done
		return own.err
	}
	defer close(own.done)
	time.Sleep(jointEvery)
	for _, r := range c.joints.leave(own) {
		if err := c.post(ctx, r); err != nil {
			own.err = err
		}
	}
	return own.err
}

// post has the log take the record, for a request.
func (c *Cache) post(ctx context.Context, r store.Record) error {
	if c.tiers.Poster != nil {
		return c.recorded(c.tiers.Poster.Post(ctx, r))
	}
	return c.append(ctx, r)
}

// joints are purges of several answers that become one.
type joints struct {
	needed bool // the log is shared

	mu   sync.Mutex
	next *joint    // nil: nobody waits
	due  time.Time // when as many records could have been written as there were, one after the other
}

// free reports whether there may be one more record at once.
func (js *joints) free(now time.Time) bool {
	if earliest := now.Add(-jointBurst * jointEvery); js.due.Before(earliest) {
		js.due = earliest
	}
	if js.due.After(now) {
		return false
	}
	js.due = js.due.Add(jointEvery)
	return true
}

// joint is what is going to be one record, or two.
type joint struct {
	done chan struct{}
	err  error // there once it is done

	urls  map[keying.Label]keying.Label // and where each lies
	names map[keying.Label]struct{}     // labels that lie nowhere
}

// join returns the joint that the record has become part of, and whether it is the caller who writes it; or nil where the
// record may be written at once.
func (js *joints) join(r store.Record, now time.Time) (j *joint, first bool) {
	if !js.needed {
		return nil, false
	}
	js.mu.Lock()
	defer js.mu.Unlock()
	if js.next == nil {
		if js.free(now) {
			return nil, false
		}
		js.next, first = newJoint(), true
	}
	js.next.add(r.Labels)
	return js.next, first
}

// leave ends the joining and returns the records.
func (js *joints) leave(j *joint) []store.Record {
	js.mu.Lock()
	js.next, js.due = nil, js.due.Add(jointEvery)
	js.mu.Unlock()
	return j.records()
}

func newJoint() *joint {
	return &joint{done: make(chan struct{}), urls: map[keying.Label]keying.Label{}, names: map[keying.Label]struct{}{}}
}

func (j *joint) add(labels []keying.Label) {
	for ; len(labels) > 1 && keys.IsPlace(labels[1]); labels = labels[2:] {
		j.urls[labels[0]] = labels[1]
	}
	for _, name := range labels {
		j.names[name] = struct{}{}
	}
}

// records names each URL, but all of an area where there are many of it.
func (j *joint) records() []store.Record {
	some, wide := store.Record{}, store.Record{Wide: true}
	of := map[keys.Area]int{}
	for _, place := range j.urls {
		area, _ := keys.Meant(place)
		of[area]++
	}
	for url, place := range j.urls {
		switch area, _ := keys.Meant(place); {
		case of[area] == 0: // it is named
		case of[area] > jointLabels:
			of[area], wide.Labels = 0, append(wide.Labels, place)
		default:
			some.Labels = append(some.Labels, url, place)
		}
	}
	some.Labels = slices.AppendSeq(some.Labels, maps.Keys(j.names))
	return slices.DeleteFunc([]store.Record{some, wide}, func(r store.Record) bool { return len(r.Labels) == 0 })
}

// tellRises tells, once in a while, that purges were too many.
func (c *Cache) tellRises() {
	rises, now := int64(c.tiers.Log.Ledger().Rises()), time.Now().UnixNano()
	told := c.risesTold.Load()
	if rises == c.rises.Load() || now-told < int64(riseEvery) || !c.risesTold.CompareAndSwap(told, now) {
		return
	}
	c.tell(Event{Outcome: Warning, Reason: ReasonWidened, Count: int(rises - c.rises.Swap(rises)),
		Err: errors.New("cache: there are more purges than are remembered one by one: the oldest of an area count as one of all that lies there, which is asked for anew; purge by a tag that many answers have in common")})
}
