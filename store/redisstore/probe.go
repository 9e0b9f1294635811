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
const commandSet = store.Operation("commands")

// probe finds out which of the commands that we need Redis does not know, or refuses to us: an operation that is refused says
// it in words that depend on what stands there, and a proxy just hangs up. It runs beside the first use of the store, on a
// connection of its own; again each minute while something is missing; and when a command is refused that was not.
type probe struct {
	due      atomic.Int64 // from when on the next use has it run, in Unix nanoseconds; never: a command has to be refused first
	running  sync.Mutex   // guards what follows
	reported string       // what was missing
	last     time.Time
}

const never = 1<<63 - 1

// look has the probe run if it is due. It is called with every operation.
func (s *Store) probeIfDue() {
	if due := s.probe.due.Load(); due != never && time.Now().UnixNano() >= due && s.probe.due.CompareAndSwap(due, never) {
		go s.runProbe()
	}
}

// suspect is called with the error of an operation.
func (s *Store) probeIfDenied(err error) {
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
	case s.ctx.Err() != nil || errors.Is(err, redis.ErrClosed):
		return
	case err != nil:
		next = time.Now().Add(probeAgain).UnixNano()
		return
	}
	p.last = time.Now()
	if len(missing) > 0 {
		next = p.last.Add(probeAgain).UnixNano()
	}
	if strings.Contains(p.reported, "pexpire") {
		s.log.extended.Store(0) // it was to no effect
	}
	s.leasesOff.Store(slices.ContainsFunc(missing, missingCommand.endsLeases))
	s.reportMissing(missing)
}

// tellMissing tells of what is missing when that has changed.
func (s *Store) reportMissing(missing []missingCommand) {
	var names []string
	for _, m := range missing {
		names = append(names, m.name)
	}
	before := s.probe.reported
	s.probe.reported = strings.Join(names, " ")
	switch {
	case s.probe.reported == before:
	case len(missing) > 0:
		s.faultEvents.notify("", s.unfitError(missing))
	default:
		s.circuitEvents.notify(commandSet, nil)
	}
}

// refusal is a command that Redis did not take.
type missingCommand struct {
	requiredCommand
	reason string // one of these
}

// unleases reports whether there are no leases without the command. That Redis cannot be used at all is a failure of each of
// them, and no reason to go without.
func (r missingCommand) endsLeases() bool {
	return slices.Contains(leaseFeatures, r.feature) && r.reason != noConnections
}

const (
	notAllowed    = "refuses to this user"
	notKnown      = "does not know"
	disconnects   = "hangs up on"
	noConnections = "(full, asking for TLS, or behind a proxy) hangs up on each new connection at"
)

// errGreeted says that no connection outlives its greeting.
var errNoConnections = errors.New("connections end when they begin")

// unfit says what is missing, what there is not without it, and what to do.
func (s *shared) unfitError(missing []missingCommand) error {
	var reasons, effects, forbidden []string
	byReason := map[string][]string{}
	for _, m := range missing {
		if byReason[m.reason] == nil {
			reasons = append(reasons, m.reason)
		}
		byReason[m.reason] = append(byReason[m.reason], strings.ToUpper(m.name))
		if !slices.Contains(effects, consequence[m.feature]) {
			effects = append(effects, consequence[m.feature])
		}
		if m.reason == notAllowed {
			forbidden = append(forbidden, m.name)
		}
	}
	for i, reason := range reasons {
		reasons[i] = reason + " " + strings.Join(byReason[reason], ", ")
	}
	remedy := "use Redis 6.2 or newer, or Valkey, and no proxy that leaves commands out"
	if len(forbidden) > 0 {
		remedy = fmt.Sprintf("allow it: ACL SETUSER <user> ~%s:* %s", s.prefixOption, aclRules(forbidden))
	}
	return fmt.Errorf("redisstore: %w: Redis %s; so %s; %s", store.ErrUnfit, strings.Join(reasons, "; Redis "), strings.Join(effects, "; "), remedy)
}

// probeAll tries all commands. An error says that Redis could not be asked.
func (s *Store) probeAll() (missing []missingCommand, err error) {
	defer recoverTo(&err)
	ctx, cancel := context.WithTimeout(s.ctx, probeTime)
	defer cancel()
	conn, closeConn, err := s.dedicatedConn(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn()
	key := s.prefix + "probe:{" + s.log.name + "}" // on the node that has the log
	for _, n := range requiredCommands {
		reason, err := n.probe(ctx, conn, key)
		if errors.Is(err, errNoConnections) && len(missing) == 0 {
			return []missingCommand{{requiredCommand{name: "hello/auth/select/client", feature: forEntries}, noConnections}}, nil
		}
		if err != nil {
			return nil, err
		}
		if reason != "" {
			missing = append(missing, missingCommand{n, reason})
		}
	}
	return missing, nil
}

// refused says why the command is refused, or "". An error says that Redis could not be asked, or not now.
func (n requiredCommand) probe(ctx context.Context, conn redis.Cmdable, key string) (reason string, err error) {
	err = n.try(ctx, conn, key)
	if disconnected(err) { // on the command, or for another reason?
		if err = n.try(ctx, conn, key); disconnected(err) {
			err := requiredCommand{name: "ping"}.try(ctx, conn, key)
			switch {
			case disconnected(err):
				return "", errNoConnections
			case err != nil && !isReply(err):
				return "", err
			}
			return disconnects, nil
		}
	}
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		return "", nil
	case n.wantError != "" && repliedWith(err, n.wantError):
		return "", nil
	case repliedWith(err, "NOPERM"):
		return notAllowed, nil
	case repliedWith(err, "ERR") || denied(err):
		return notKnown, nil
	}
	return "", err // its state, perhaps: that it is loading, or a replica
}

// send sends the command, in a transaction of its own if it makes one.
func (n requiredCommand) try(ctx context.Context, conn redis.Cmdable, key string) error {
	args := []any{n.name}
	for _, arg := range n.args {
		if arg == (keyArg{}) {
			arg = key
		}
		args = append(args, arg)
	}
	pipe := conn.Pipeline()
	cmd := pipe.Do(ctx, args...)
	if n.name == "multi" {
		pipe.Do(ctx, "exec")
	}
	exec(ctx, pipe)
	return cmd.Err()
}
