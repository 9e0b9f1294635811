//go:build !race

package keying_test

const raceEnabled = false
