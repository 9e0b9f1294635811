//go:build race

package keys_test

// raceEnabled says that sync.Pool forgets at random, so that allocations cannot be counted.
const raceEnabled = true
