package redisstore

import (
	"slices"
	"strings"
)

// part is what of a Store a command is for.
type part string

const (
	ofEntries   = part("entries")
	ofLog       = part("log")
	ofLife      = part("life")
	ofFollowing = part("following")
	ofLeases    = part("leases")
	ofRankings  = part("rankings")
)

// without says what there is not while a command of the part is refused.
var without = map[part]string{
	ofEntries:   "nothing is kept in Redis",
	ofLog:       "nothing is kept in Redis, and purges reach no other process",
	ofLife:      "the purge log has no time to live",
	ofFollowing: "copies in memory learn of purges elsewhere only when their time is over",
	ofLeases:    "each process runs the handler of a miss for itself",
	ofRankings:  "nothing is loaded ahead after a start",
}

// need is a command that we use.
type need struct {
	command string
	part    part
	try     []any  // what follows the command where it is tried, to no effect; here stands for the key, of which there is nothing
	says    string // how the error begins that the trial is meant to end with; "": with none
}

// here stands for the key.
type here struct{}

// needs are all commands that we use, apart from those that make a transaction and those of connections. None of the trials
// writes anything.
var needs = []need{
	{"getrange", ofEntries, []any{here{}, 0, 0}, ""},
	{"set", ofEntries, []any{here{}, "", "XX", "PX", 1}, ""},
	{"unlink", ofEntries, []any{here{}}, ""},
	{"xrevrange", ofLog, []any{here{}, "+", "-", "COUNT", 1}, ""},
	{"xrange", ofLog, []any{here{}, "-", "+", "COUNT", 1}, ""},
	{"xadd", ofLog, []any{here{}, "NOMKSTREAM", "MAXLEN", "~", 1, "*", field, ""}, ""},
	{"pexpire", ofLife, []any{here{}, 1}, ""},
	{"xread", ofFollowing, []any{"COUNT", 1, "BLOCK", 1, "STREAMS", here{}, "$"}, ""},
	{"get", ofLeases, []any{here{}}, ""},
	{"pttl", ofLeases, []any{here{}}, ""},
	{"evalsha", ofLeases, []any{strings.Repeat("0", 40), 1, here{}}, "NOSCRIPT"},
	{"eval", ofLeases, []any{"return 0", 1, here{}}, ""},
	{"zincrby", ofRankings, []any{here{}, "x", "m"}, "ERR value is not a valid float"},
	{"zremrangebyrank", ofRankings, []any{here{}, 0, 0}, ""},
	{"zrevrange", ofRankings, []any{here{}, 0, 0}, ""},
	{"multi", ofRankings, nil, ""},
	{"exec", ofRankings, nil, "ERR EXEC without MULTI"},
}

// connecting are the commands of connections that an access list can refuse: for a database other than 0, for a client_name,
// and for a cluster.
var connecting = []string{"select", "client|setname", "cluster|slots", "command", "asking"}

// leasing are the parts without which there are no leases.
var leasing = []part{ofEntries, ofLeases}

// rules are those of an access list for the commands.
func rules(commands []string) string { return "+" + strings.Join(commands, " +") }

// accessRules are what a user of ours needs.
func accessRules() string {
	var commands []string
	for _, n := range needs {
		commands = append(commands, n.command)
	}
	return rules(slices.Concat(commands, connecting))
}
