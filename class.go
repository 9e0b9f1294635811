package cache

import "fmt"

// A Class says who may receive a route's answer and who must agree on it, and by that where the answer lives. The zero
// Class is invalid: a class is always chosen. It is about the receiver, not the subject: a public profile is HotShared,
// "me" is PerUser.
type Class uint8

const (
	// SharedGlobal answers are for everyone and live in the memory of the process alone. No Redis is needed, none is
	// touched; another process may have another answer, for one TTL.
	SharedGlobal Class = iota + 1
	// PerUser answers are for one user and live in Redis alone. Their bytes never stay in the memory of the process.
	PerUser
	// HotShared answers are for everyone and live in Redis, with a short-lived copy in memory in front of it.
	HotShared
	// FleetShared answers are for everyone and live in Redis alone.
	FleetShared
)

var classNames = [...]string{SharedGlobal: "shared-global", PerUser: "per-user", HotShared: "hot-shared", FleetShared: "fleet-shared"}

// String returns the name that policies are written with, such as "shared-global".
func (c Class) String() string {
	if c == 0 || int(c) >= len(classNames) {
		return fmt.Sprintf("class(%d)", uint8(c))
	}
	return classNames[c]
}

func (c Class) valid() bool { return c > 0 && int(c) < len(classNames) }

func (c Class) usesRedis() bool { return c != SharedGlobal }

// Classify answers the two questions for an answer that is the same for everyone: must anything besides this process
// agree on it, and if so, is it read so often that even Redis is on the hot path? What is one user's is PerUser.
func Classify(mustAgree, onHotPath bool) Class {
	switch {
	case !mustAgree:
		return SharedGlobal
	case onHotPath:
		return HotShared
	}
	return FleetShared
}
