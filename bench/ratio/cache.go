package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/maypok86/otter/v2"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

// caches are what is compared. Each plays a whole trace, keeping at most so many entries, and returns its hits.
var caches = []struct {
	name string
	play func(trace []uint64, capacity int) (hits int)
}{
	{"larder", larder},
	{"otter", wTinyLFU},
	{"lru", lru},
	{"best", best},
}

// larder is a memstore, asked as a request asks it: a miss is set.
func larder(trace []uint64, capacity int) (hits int) {
	s := memstore.New(memstore.Options{MaxEntries: capacity, MaxBytes: 1 << 40})
	defer s.Close()
	for _, block := range trace {
		key := keyOf(block)
		if _, ok := s.Peek(key); ok {
			hits++
			continue
		}
		_ = s.Set(context.Background(), key, &store.Entry{Key: key}, time.Hour)
	}
	return hits
}

// keyOf is a digest, as keys are.
func keyOf(block uint64) keying.Key {
	return sha256.Sum256(binary.LittleEndian.AppendUint64(nil, block))
}

// wTinyLFU is otter, which does its housekeeping at once here, so that a trace has one outcome.
func wTinyLFU(trace []uint64, capacity int) (hits int) {
	c := otter.Must(&otter.Options[uint64, struct{}]{MaximumSize: capacity, Executor: func(f func()) { f() }})
	for _, block := range trace {
		if _, ok := c.GetIfPresent(block); ok {
			hits++
			continue
		}
		c.Set(block, struct{}{})
	}
	return hits
}

// lru forgets what was not used for longest, and nothing else counts.
func lru(trace []uint64, capacity int) (hits int) {
	c, err := simplelru.NewLRU[uint64, struct{}](capacity, nil)
	if err != nil {
		panic(err) // a capacity below one
	}
	for _, block := range trace {
		if _, ok := c.Get(block); ok {
			hits++
			continue
		}
		c.Add(block, struct{}{})
	}
	return hits
}
