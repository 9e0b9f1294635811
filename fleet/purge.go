package main

import "time"

// purges lets one process purge and three read, with slow handlers in between.
func purges(s *stage) ([]figure, error) {
	redis, err := s.redis()
	if err != nil {
		return nil, err
	}
	nodes, err := s.apps(4, redis.url(), "-ttl", "20s")
	if err != nil {
		return nil, err
	}
	a := agreement{kinds: []kind{fleet, user}, workers: 12, slow: 4 * time.Millisecond}
	a.play(s, nodes, or(s, 100_000, 2_000), func() bool { return true })
	return []figure{row(
		"purge on one process, read on 3 others, with racing slow handlers", "Redis classes: 0 stale reads after the purge returned",
		a.String(), a.outrun.Load() == 0 && a.failed.Load() == 0 && a.told.Load() > a.rounds.Load()*9/10,
	)}, s.Err()
}
