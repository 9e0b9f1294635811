package cache

import (
	"strconv"
	"strings"
	"time"
)

func (s setting) bytes() (int64, error) {
	digits, unit := s.value, int64(1)
	for suffix, size := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20} {
		if cut, ok := strings.CutSuffix(s.value, suffix); ok {
			digits, unit = cut, size
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > (1<<40)/unit {
		return 0, s.fault("max-body=%q is not a number of bytes above zero; write for example max-body=64KiB", clip(s.value))
	}
	return n * unit, nil
}

func (s setting) count() (int, error) {
	n, err := strconv.Atoi(s.value)
	if err != nil || n <= 0 {
		return 0, s.fault("%s=%q is not a number above zero; write for example %s=64, or leave it out", s.key, clip(s.value), s.key)
	}
	return n, nil
}

func (s setting) statuses() (map[int]time.Duration, error) {
	ttls := map[int]time.Duration{}
	for item := range strings.SplitSeq(s.value, ",") {
		code, ttl, _ := strings.Cut(item, ":")
		status, err := strconv.Atoi(code)
		d, err2 := time.ParseDuration(ttl)
		if err != nil || err2 != nil || d <= 0 {
			return nil, s.fault("status=%q is not a list of status:duration; write for example status=404:10s,301:1h", clip(s.value))
		}
		if _, twice := ttls[status]; twice {
			return nil, s.fault("status %d is given twice; keep one", status)
		}
		ttls[status] = d
	}
	return ttls, nil
}
