package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store"
)

const (
	probeAgain = time.Minute     // while a command is refused, or Redis cannot be reached
	probeTime  = 5 * time.Second // for all commands
)

// commands is for listeners to rests: whether Redis knows all that we need.
const commands = store.Operation("commands")

// probe finds out which of the commands that we need Redis does not know, or refuses to us: an operation that is refused says
// it in words that depend on what stands there, and a proxy just hangs up. It runs beside the first use of the store, on a
// connection of its own; again each minute while something is missing; and when a command is refused that was not.
type probe struct {
	due     atomic.Int64 // from when on the next use has it run, in Unix nanoseconds; never: a command has to be refused first
	running sync.Mutex   // guards what follows
	told    string       // what was missing
	last    time.Time
}

const never = 1<<63 - 1

// look has the probe run if it is due. It is called with every operation.
func (s *Store) look() {
	if due := s.probe.due.Load(); due != never && time.Now().UnixNano() >= due && s.probe.due.CompareAndSwap(due, never) {
		go s.runProbe()
	}
}

// suspect is called with the error of an operation.
func (s *Store) suspect(err error) {
	if err != nil && denied(err) {
		s.probe.due.CompareAndSwap(never, time.Now().UnixNano())
	}
}

// denied reports whether the error says that a command is not for us: by the access list, or at all.
func denied(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	text := strings.ToLower(reply.Error())
	return strings.HasPrefix(text, "noperm") || strings.HasPrefix(text, "err unknown command") || strings.Contains(text, "unsupported command")
}

func (s *Store) runProbe() {
	p := &s.probe
	if !p.running.TryLock() {
		return
	}
	defer p.running.Unlock()
	next := int64(never)
	defer func() { p.due.Store(next) }()
	if wait := time.Until(p.last.Add(probeAgain)); wait > 0 { // a command is refused, again
		next = time.Now().Add(wait).UnixNano()
		return
	}
	missing, err := s.probeAll()
	switch {
	case s.life.Err() != nil || errors.Is(err, redis.ErrClosed):
		return
	case err != nil:
		next = time.Now().Add(probeAgain).UnixNano()
		return
	}
	p.last = time.Now()
	if len(missing) > 0 {
		next = p.last.Add(probeAgain).UnixNano()
	}
	if strings.Contains(p.told, "pexpire") {
		s.log.touched.Store(0) // it was to no effect
	}
	s.unleased.Store(slices.ContainsFunc(missing, refusal.unleases))
	s.tellMissing(missing)
}

// tellMissing tells of what is missing when that has changed.
func (s *Store) tellMissing(missing []refusal) {
	var names []string
	for _, m := range missing {
		names = append(names, m.command)
	}
	before := s.probe.told
	s.probe.told = strings.Join(names, " ")
	switch {
	case s.probe.told == before:
	case len(missing) > 0:
		s.faults.tell("", s.unfit(missing))
	default:
		s.rests.tell(commands, nil)
	}
}

// refusal is a command that Redis did not take.
type refusal struct {
	need
	why string // one of these
}

// unleases reports whether there are no leases without the command. That Redis cannot be used at all is a failure of each of
// them, and no reason to go without.
func (r refusal) unleases() bool { return slices.Contains(leasing, r.part) && r.why != greeted }

const (
	notAllowed = "refuses to this user"
	notKnown   = "does not know"
	hangsUp    = "hangs up on"
	greeted    = "(full, asking for TLS, or behind a proxy) hangs up on each new connection at"
)

// errGreeted says that no connection outlives its greeting.
var errGreeted = errors.New("connections end when they begin")

// unfit says what is missing, what there is not without it, and what to do.
func (l *link) unfit(missing []refusal) error {
	var whys, parts, forbidden []string
	by := map[string][]string{}
	for _, m := range missing {
		if by[m.why] == nil {
			whys = append(whys, m.why)
		}
		by[m.why] = append(by[m.why], strings.ToUpper(m.command))
		if !slices.Contains(parts, without[m.part]) {
			parts = append(parts, without[m.part])
		}
		if m.why == notAllowed {
			forbidden = append(forbidden, m.command)
		}
	}
	for i, why := range whys {
		whys[i] = why + " " + strings.Join(by[why], ", ")
	}
	remedy := "use Redis 6.2 or newer, or Valkey, and no proxy that leaves commands out"
	if len(forbidden) > 0 {
		remedy = fmt.Sprintf("allow it: ACL SETUSER <user> ~%s:* %s", l.given, rules(forbidden))
	}
	return fmt.Errorf("redisstore: %w: Redis %s; so %s; %s", store.ErrUnfit, strings.Join(whys, "; Redis "), strings.Join(parts, "; "), remedy)
}

// probeAll tries all commands. An error says that Redis could not be asked.
func (s *Store) probeAll() (missing []refusal, err error) {
	defer caught(&err)
	ctx, cancel := context.WithTimeout(s.life, probeTime)
	defer cancel()
	line, hangUp, err := s.line(ctx)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	key := s.prefix + "probe:{" + s.log.name + "}" // on the node that has the log
	for _, n := range needs {
		why, err := n.refused(ctx, line, key)
		if errors.Is(err, errGreeted) && len(missing) == 0 {
			return []refusal{{need{command: "hello/auth/select/client", part: ofEntries}, greeted}}, nil
		}
		if err != nil {
			return nil, err
		}
		if why != "" {
			missing = append(missing, refusal{n, why})
		}
	}
	return missing, nil
}

// refused says why the command is refused, or "". An error says that Redis could not be asked, or not now.
func (n need) refused(ctx context.Context, line redis.Cmdable, key string) (why string, err error) {
	err = n.send(ctx, line, key)
	if hungUp(err) { // on the command, or for another reason?
		if err = n.send(ctx, line, key); hungUp(err) {
			err := need{command: "ping"}.send(ctx, line, key)
			switch {
			case hungUp(err):
				return "", errGreeted
			case err != nil && !isReply(err):
				return "", err
			}
			return hangsUp, nil
		}
	}
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		return "", nil
	case n.says != "" && replied(err, n.says):
		return "", nil
	case replied(err, "NOPERM"):
		return notAllowed, nil
	case replied(err, "ERR") || denied(err):
		return notKnown, nil
	}
	return "", err // its state, perhaps: that it is loading, or a replica
}

// send sends the command, in a transaction of its own if it makes one.
func (n need) send(ctx context.Context, line redis.Cmdable, key string) error {
	args := []any{n.command}
	for _, arg := range n.try {
		if arg == (here{}) {
			arg = key
		}
		args = append(args, arg)
	}
	pipe := line.Pipeline()
	cmd := pipe.Do(ctx, args...)
	if n.command == "multi" {
		pipe.Do(ctx, "exec")
	}
	exec(ctx, pipe)
	return cmd.Err()
}
