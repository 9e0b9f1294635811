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

// Which commands may a Store use? A proxy may know no streams, an access list may forbid scripts, and an old Redis
// lacks options. Operations then fail with messages that depend on what is in between, and a proxy may simply hang up. So all
// commands are tried alongside the first use of a Store, on keys that do not exist, and what is missing is named once, with its
// consequence and the remedy:
//
//	first operation        probeIfDue starts the probe on a goroutine of its own; the operation does not wait
//	all is well            no further probe, until an operation is refused (probeIfDenied)
//	something is missing   OnFault reports it, once; the probe runs again each minute
//	it is allowed          OnCircuit reports that all is well; leases are taken again

// feature is what a command is for.
type feature string

const (
	forEntries   = feature("entries")
	forLog       = feature("log")
	forLogTTL    = feature("life")
	forFollowing = feature("following")
	forLeases    = feature("leases")
	forRankings  = feature("rankings")
)

// consequence says what does not work while a command of the feature is refused.
var consequence = map[feature]string{
	forEntries:   "nothing is kept in Redis",
	forLog:       "nothing is kept in Redis, and purges reach no other process",
	forLogTTL:    "the purge log has no time to live",
	forFollowing: "copies in memory learn of purges elsewhere only when their time is over",
	forLeases:    "each process runs the handler of a miss for itself",
	forRankings:  "nothing is loaded ahead after a start",
}

// requiredCommand is a command that a Store uses, and a harmless way to try it.
type requiredCommand struct {
	name      string
	feature   feature
	args      []any  // arguments with which the command changes nothing; a keyArg is replaced by a key that does not exist
	wantError string // the beginning of the error that shows that the command works; "": it works without an error
}

// keyArg is a placeholder for the key.
type keyArg struct{}

// requiredCommands are all commands that a Store uses, except those that open connections. No trial writes anything.
var requiredCommands = []requiredCommand{
	{"getrange", forEntries, []any{keyArg{}, 0, 0}, ""},
	{"set", forEntries, []any{keyArg{}, "", "XX", "PX", 1}, ""},
	{"unlink", forEntries, []any{keyArg{}}, ""},
	{"xrevrange", forLog, []any{keyArg{}, "+", "-", "COUNT", 1}, ""},
	{"xrange", forLog, []any{keyArg{}, "-", "+", "COUNT", 1}, ""},
	{"xadd", forLog, []any{keyArg{}, "NOMKSTREAM", "MAXLEN", "~", 1, "*", recordField, ""}, ""},
	{"pexpire", forLogTTL, []any{keyArg{}, 1}, ""},
	{"xread", forFollowing, []any{"COUNT", 1, "BLOCK", 1, "STREAMS", keyArg{}, "$"}, ""},
	{"get", forLeases, []any{keyArg{}}, ""},
	{"pttl", forLeases, []any{keyArg{}}, ""},
	{"evalsha", forLeases, []any{strings.Repeat("0", 40), 1, keyArg{}}, "NOSCRIPT"},
	{"eval", forLeases, []any{"return 0", 1, keyArg{}}, ""},
	{"zincrby", forRankings, []any{keyArg{}, "x", "m"}, "ERR value is not a valid float"},
	{"zremrangebyrank", forRankings, []any{keyArg{}, 0, 0}, ""},
	{"zrevrange", forRankings, []any{keyArg{}, 0, 0}, ""},
	{"multi", forRankings, nil, ""},
	{"exec", forRankings, nil, "ERR EXEC without MULTI"},
}

// connectionCommands are commands for connections that an access list can refuse: for a database other than 0, for a client_name,
// and for a cluster.
var connectionCommands = []string{"select", "client|setname", "cluster|slots", "command", "asking"}

// leaseFeatures are the features without which there are no leases.
var leaseFeatures = []feature{forEntries, forLeases}

// aclRules returns the rules of an access list that allow the commands.
func aclRules(commands []string) string { return "+" + strings.Join(commands, " +") }

// accessRules returns the rules that the user of a Store needs.
func accessRules() string {
	var commands []string
	for _, c := range requiredCommands {
		commands = append(commands, c.name)
	}
	return aclRules(slices.Concat(commands, connectionCommands))
}

const (
	probeAgain = time.Minute     // from one probe to the next, while a command is missing or Redis is unavailable
	probeTime  = 5 * time.Second // for all commands together
)

// commandSet is the operation that OnCircuit reports when every command is available again.
const commandSet = "commands"

// probe is the state of the search for missing commands.
type probe struct {
	due      atomic.Int64 // when the next operation should start it, in Unix nanoseconds; never: not until one is refused
	running  sync.Mutex   // guards the fields below
	reported string       // the missing commands that listeners know of
	last     time.Time    // when it last finished
}

// never is later than any time.
const never = 1<<63 - 1

// probeIfDue starts the probe if it is due. Every operation calls it.
func (s *Store) probeIfDue() {
	if due := s.probe.due.Load(); due != never && time.Now().UnixNano() >= due && s.probe.due.CompareAndSwap(due, never) {
		go s.runProbe()
	}
}

// probeIfDenied is called with the error of every operation.
func (s *Store) probeIfDenied(err error) {
	if err != nil && denied(err) {
		s.probe.due.CompareAndSwap(never, time.Now().UnixNano())
	}
}

// denied reports whether the error says that a Store may not use a command, or that there is no such command.
func denied(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	text := strings.ToLower(reply.Error())
	return strings.HasPrefix(text, "noperm") || strings.HasPrefix(text, "err unknown command") || strings.Contains(text, "unsupported command")
}

// runProbe tries all commands, and decides when to try them again.
func (s *Store) runProbe() {
	p := &s.probe
	if !p.running.TryLock() {
		return
	}
	defer p.running.Unlock()
	next := int64(never)
	defer func() { p.due.Store(next) }()
	if wait := time.Until(p.last.Add(probeAgain)); wait > 0 { // a command was refused that soon after the last probe
		next = time.Now().Add(wait).UnixNano()
		return
	}
	missing, err := s.probeAll()
	switch {
	case s.ctx.Err() != nil || errors.Is(err, redis.ErrClosed):
		return // for good
	case err != nil: // Redis is away; operations report that
		next = time.Now().Add(probeAgain).UnixNano()
		return
	}
	p.last = time.Now()
	if len(missing) > 0 {
		next = p.last.Add(probeAgain).UnixNano()
	}
	if strings.Contains(p.reported, "pexpire") {
		s.log.extended.Store(0) // the log has no time to live yet: let the next read set it
	}
	s.leasesOff.Store(slices.ContainsFunc(missing, missingCommand.endsLeases))
	s.reportMissing(missing)
}

// reportMissing tells listeners what is missing, if that has changed.
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
		s.faultEvents.notify("", unfitError(missing, s.prefixOption))
	default:
		s.circuitEvents.notify(commandSet, nil)
	}
}

// missingCommand is a command that Redis does not accept.
type missingCommand struct {
	requiredCommand
	reason string // one of the reasons below
}

// endsLeases reports whether there are no leases without the command. A Redis that accepts no connections is different:
// it fails altogether, and then leases fail with an error.
func (r missingCommand) endsLeases() bool {
	return slices.Contains(leaseFeatures, r.feature) && r.reason != noConnections
}

// Why a command is missing, as a part of a sentence that begins with "Redis".
const (
	notAllowed    = "refuses to this user"
	notKnown      = "does not know"
	disconnects   = "hangs up on"
	noConnections = "(full, asking for TLS, or behind a proxy) hangs up on each new connection at"
)

// errNoConnections means that no connection outlives its first command.
var errNoConnections = errors.New("connections end when they begin")

// unfitError says what is missing, what does not work without it, and what to do.
func unfitError(missing []missingCommand, prefix string) error {
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
		remedy = fmt.Sprintf("allow it: ACL SETUSER <user> ~%s:* %s", prefix, aclRules(forbidden))
	}
	return fmt.Errorf("redisstore: %w: Redis %s; so %s; %s", store.ErrUnfit, strings.Join(reasons, "; Redis "), strings.Join(effects, "; "), remedy)
}

// probeAll tries all commands. An error means that Redis is unavailable.
func (s *Store) probeAll() (missing []missingCommand, err error) {
	defer recoverTo(&err)
	ctx, cancel := context.WithTimeout(s.ctx, probeTime)
	defer cancel()
	conn, closeConn, err := s.dedicatedConn(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn()
	key := s.prefix + "probe:{" + s.log.name + "}" // its hash tag puts it on the node of the log, which conn leads to
	for _, c := range requiredCommands {
		reason, err := c.probe(ctx, conn, key)
		if errors.Is(err, errNoConnections) && len(missing) == 0 {
			return []missingCommand{{requiredCommand{name: "hello/auth/select/client", feature: forEntries}, noConnections}}, nil
		}
		if err != nil {
			return nil, err
		}
		if reason != "" {
			missing = append(missing, missingCommand{c, reason})
		}
	}
	return missing, nil
}

// probe tries the command and returns why it is missing, or "". An error means that Redis is unavailable, or not ready.
func (c requiredCommand) probe(ctx context.Context, conn redis.Cmdable, key string) (reason string, err error) {
	err = c.try(ctx, conn, key)
	if disconnected(err) { // because of the command, or by chance? Try again, and then something harmless.
		if err = c.try(ctx, conn, key); disconnected(err) {
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
	case c.wantError != "" && repliedWith(err, c.wantError):
		return "", nil
	case repliedWith(err, "NOPERM"):
		return notAllowed, nil
	case repliedWith(err, "ERR") || denied(err):
		return notKnown, nil
	}
	return "", err // about the state of Redis: it is loading, or a replica
}

// try sends the command. MULTI is followed by EXEC, so that the connection can be used again.
func (c requiredCommand) try(ctx context.Context, conn redis.Cmdable, key string) error {
	args := []any{c.name}
	for _, arg := range c.args {
		if arg == (keyArg{}) {
			arg = key
		}
		args = append(args, arg)
	}
	pipe := conn.Pipeline()
	cmd := pipe.Do(ctx, args...)
	if c.name == "multi" {
		pipe.Do(ctx, "exec")
	}
	exec(ctx, pipe)
	return cmd.Err()
}
