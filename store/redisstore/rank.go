package redisstore

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
)

// Rankings tell a process that starts which entries to load ahead. There is one sorted set for each hour, next to the
// entries; old counts expire with their set, and nothing has to be counted down. Rankings are a convenience: they
// never open a circuit.

const (
	rankLength = 1000      // keys in one ranking
	rankPeriod = time.Hour // after which a new ranking begins
)

// Rank counts the keys in the ranking of this hour. The ranking keeps its top thousand keys, and lives for two hours.
// Redis is not called while the circuit is open, and a failure does not count for the breaker.
func (s *Store) Rank(ctx context.Context, keys ...keying.Key) error {
	if len(keys) == 0 {
		return nil
	}
	ctx, cancel := s.withBudget(ctx)
	defer cancel()
	return wrap(s.roundTrip(ctx, nil, s.uncounted().write, func() error {
		name := s.ranking(time.Now())
		// A transaction: if only the first command ran, the ranking would have no time to live, and nothing would set one
		// once the hour is over.
		pipe := s.client.TxPipeline()
		for _, key := range keys {
			pipe.ZIncrBy(ctx, name, 1, string(key[:]))
		}
		pipe.ZRemRangeByRank(ctx, name, 0, -rankLength-1)
		pipe.PExpire(ctx, name, 2*rankPeriod)
		return firstError(exec(ctx, pipe)...)
	}))
}

// Hottest returns the n keys that were counted most in this hour and the one before, a thousand at most.
func (s *Store) Hottest(ctx context.Context, n int) ([]keying.Key, error) {
	ctx, cancel := s.withBudget(ctx)
	defer cancel()
	var hours [2]*redis.ZSliceCmd
	err := s.roundTrip(ctx, nil, s.uncounted().read, func() error {
		pipe := s.client.Pipeline()
		now := time.Now()
		for i := range hours {
			hour := now.Add(-time.Duration(i) * rankPeriod)
			hours[i] = pipe.ZRevRangeWithScores(ctx, s.ranking(hour), 0, rankLength-1)
		}
		return firstError(exec(ctx, pipe)...)
	})
	if err != nil {
		return nil, wrap(err)
	}
	counts := map[keying.Key]float64{}
	for _, hour := range hours {
		for _, z := range hour.Val() {
			if member, ok := z.Member.(string); ok && len(member) == len(keying.Key{}) { // anything else was not written by a Store
				counts[keying.Key([]byte(member))] += z.Score
			}
		}
	}
	return hottest(counts, n), nil
}

// hottest returns the n keys with the highest counts. Keys with the same count come in the order of their bytes, so that
// all processes get the same result.
func hottest(counts map[keying.Key]float64, n int) []keying.Key {
	keys := make([]keying.Key, 0, len(counts))
	for key := range counts {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b keying.Key) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), slices.Compare(a[:], b[:]))
	})
	return keys[:min(max(n, 0), rankLength, len(keys))]
}

// ranking returns the name of an hour's ranking. The hour is by the process' clock; clocks need not agree to the minute.
func (s *Store) ranking(t time.Time) string {
	return s.rankPrefix + strconv.FormatInt(t.Unix()/int64(rankPeriod/time.Second), 10)
}
