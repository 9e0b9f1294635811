package redisstore

import (
	"slices"
	"strings"
)

// part is what of a Store a command is for.
type feature string

const (
	forEntries   = feature("entries")
	forLog       = feature("log")
	forLogTTL    = feature("life")
	forFollowing = feature("following")
	forLeases    = feature("leases")
	forRankings  = feature("rankings")
)

// without says what there is not while a command of the part is refused.
var consequence = map[feature]string{
	forEntries:   "nothing is kept in Redis",
	forLog:       "nothing is kept in Redis, and purges reach no other process",
	forLogTTL:    "the purge log has no time to live",
	forFollowing: "copies in memory learn of purges elsewhere only when their time is over",
	forLeases:    "each process runs the handler of a miss for itself",
	forRankings:  "nothing is loaded ahead after a start",
}

// need is a command that we use.
type requiredCommand struct {
	name      string
	feature   feature
	args      []any  // what follows the command where it is tried, to no effect; here stands for the key, of which there is nothing
	wantError string // how the error begins that the trial is meant to end with; "": with none
}

// here stands for the key.
type keyArg struct{}

// needs are all commands that we use, apart from those that make a transaction and those of connections. None of the trials
// writes anything.
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

// connecting are the commands of connections that an access list can refuse: for a database other than 0, for a client_name,
// and for a cluster.
var connectionCommands = []string{"select", "client|setname", "cluster|slots", "command", "asking"}

// leasing are the parts without which there are no leases.
var leaseFeatures = []feature{forEntries, forLeases}

// rules are those of an access list for the commands.
func aclRules(commands []string) string { return "+" + strings.Join(commands, " +") }

// accessRules are what a user of ours needs.
func accessRules() string {
	var commands []string
	for _, n := range requiredCommands {
		commands = append(commands, n.name)
	}
	return aclRules(slices.Concat(commands, connectionCommands))
}
