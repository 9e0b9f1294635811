package redisstore

import "time"

// ModulePath is modulePath for tests, whose own binary has none.
var ModulePath = modulePath

// AccessRules are what docs/redis.md says that a user needs.
var AccessRules = accessRules

// ProbeNow lets the next operation have the commands probed.
func (s *Store) ProbeNow() {
	s.probe.running.Lock()
	defer s.probe.running.Unlock()
	s.probe.last = time.Time{}
	s.probe.due.Store(0)
}

// Probing reports whether the commands are being probed, where some were missing before.
func (s *Store) Probing() bool { return s.probe.due.Load() == never }

// MeetNode has a node of a cluster asked, and returns how many are known.
func (s *Store) MeetNode(addr string) (n int) {
	s.nodes.at(addr, s.shared)
	s.nodes.Range(func(any, any) bool { n++; return true })
	return n
}
