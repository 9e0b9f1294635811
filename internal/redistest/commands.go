package redistest

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is the value of a key. Only one of text, list, sorted and stream is set.
type value struct {
	text    *string
	list    []string
	sorted  map[string]float64
	stream  *stream
	expires time.Time // zero: never
}

var (
	errType     = errors.New("WRONGTYPE Operation against a key holding the wrong kind of value")
	errSyntax   = errors.New("ERR syntax error")
	errFloat    = errors.New("ERR value is not a valid float")
	errNoScript = errors.New("NOSCRIPT No matching script. Please use EVAL")
	errNoMulti  = errors.New("ERR EXEC without MULTI")
)

func (s *Server) now() time.Time { return time.Now().Add(s.ahead) }

// get returns the key's value, or nil if it has none or has expired.
func (s *Server) get(key string) *value {
	v := s.data[key]
	if v != nil && !v.expires.IsZero() && !v.expires.After(s.now()) {
		delete(s.data, key)
		return nil
	}
	return v
}

func (s *Server) keys() []string {
	maps.DeleteFunc(s.data, func(key string, _ *value) bool { return s.get(key) == nil })
	return slices.Sorted(maps.Keys(s.data))
}

// run runs a command, whose name is in lower case. The caller holds the lock.
func (s *Server) run(command []string) any {
	name, args := command[0], command[1:]
	switch name {
	case "ping":
		return status("PONG")
	case "select", "client", "auth":
		return status("OK")
	case "exec":
		return errNoMulti
	case "flushall":
		clear(s.data)
		return status("OK")
	case "keys":
		return texts(s.keys())
	case "evalsha", "eval":
		return s.runScript(name, args)
	}
	f, known := map[string]func(key string, args []string) any{
		"get": s.getText, "getrange": s.getRange, "set": s.set, "del": s.unlink, "unlink": s.unlink, "lpush": s.lpush,
		"pttl": s.pttl, "pexpire": s.pexpire,
		"zincrby": s.zincrby, "zremrangebyrank": s.zremrangebyrank, "zrevrange": s.zrevrange,
		"xadd": s.xadd, "xlen": s.xlen, "xtrim": s.xtrim, "xrange": s.xrange, "xrevrange": s.xrevrange,
	}[name]
	if !known || len(args) == 0 {
		return fmt.Errorf("ERR unknown command '%s', with args beginning with: ", name)
	}
	return f(args[0], args[1:])
}

func texts(all []string) []any {
	replies := make([]any, len(all))
	for i, text := range all {
		replies[i] = text
	}
	return replies
}

func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

func (s *Server) getText(key string, _ []string) any {
	v := s.get(key)
	switch {
	case v == nil:
		return nil
	case v.text == nil:
		return errType
	}
	return *v.text
}

func (s *Server) getRange(key string, args []string) any {
	text, ok := s.getText(key, nil).(string)
	if !ok && s.get(key) != nil {
		return errType
	}
	from, to := number(args[0]), min(number(args[1])+1, len(text))
	if from >= to {
		return ""
	}
	return text[from:to]
}

func (s *Server) set(key string, args []string) any {
	v, old := &value{text: &args[0]}, s.get(key)
	for i := 1; i < len(args); i++ {
		switch option := strings.ToLower(args[i]); option {
		case "nx", "xx":
			if (option == "nx") == (old != nil) {
				return nil
			}
		case "ex", "px":
			unit := map[string]time.Duration{"ex": time.Second, "px": time.Millisecond}[option]
			i++
			v.expires = s.now().Add(time.Duration(number(args[i])) * unit)
		default:
			return errSyntax
		}
	}
	s.data[key] = v
	return status("OK")
}

func (s *Server) unlink(key string, more []string) any {
	n := 0
	for _, key := range append([]string{key}, more...) {
		if s.get(key) != nil {
			n++
		}
		delete(s.data, key)
	}
	return n
}

func (s *Server) lpush(key string, args []string) any {
	v := s.get(key)
	if v == nil {
		v = &value{list: []string{}}
		s.data[key] = v
	}
	if v.list == nil {
		return errType
	}
	v.list = slices.Concat(args, v.list)
	return len(v.list)
}

func (s *Server) pttl(key string, _ []string) any {
	v := s.get(key)
	switch {
	case v == nil:
		return -2
	case v.expires.IsZero():
		return -1
	}
	return int(v.expires.Sub(s.now()) / time.Millisecond)
}

func (s *Server) pexpire(key string, args []string) any {
	v := s.get(key)
	if v == nil {
		return 0
	}
	v.expires = s.now().Add(time.Duration(number(args[0])) * time.Millisecond)
	return 1
}

func (s *Server) sorted(key string) (map[string]float64, error) {
	v := s.get(key)
	switch {
	case v == nil:
		return nil, nil
	case v.sorted == nil:
		return nil, errType
	}
	return v.sorted, nil
}

func (s *Server) zincrby(key string, args []string) any {
	by, err := strconv.ParseFloat(args[0], 64)
	if err != nil {
		return errFloat
	}
	set, err := s.sorted(key)
	if err != nil {
		return err
	}
	if set == nil {
		set = map[string]float64{}
		s.data[key] = &value{sorted: set}
	}
	set[args[1]] += by
	return strconv.FormatFloat(set[args[1]], 'g', -1, 64)
}

// ranked returns the members with the ranks from to to, both included, in ascending order unless highestFirst. Negative ranks
// count from the end.
func ranked(set map[string]float64, from, to string, highestFirst bool) []string {
	members := slices.SortedFunc(maps.Keys(set), func(a, b string) int {
		return cmp.Or(cmp.Compare(set[a], set[b]), cmp.Compare(a, b))
	})
	if highestFirst {
		slices.Reverse(members)
	}
	bound := func(text string) int {
		n := number(text)
		if n < 0 {
			n += len(members)
		}
		return n
	}
	first, last := max(bound(from), 0), min(bound(to)+1, len(members))
	return members[min(first, max(last, 0)):max(last, 0)]
}

func (s *Server) zremrangebyrank(key string, args []string) any {
	set, err := s.sorted(key)
	if err != nil {
		return err
	}
	gone := ranked(set, args[0], args[1], false)
	for _, member := range gone {
		delete(set, member)
	}
	return len(gone)
}

func (s *Server) zrevrange(key string, args []string) any {
	set, err := s.sorted(key)
	if err != nil {
		return err
	}
	replies := []any{}
	for _, member := range ranked(set, args[0], args[1], true) {
		replies = append(replies, member)
		if len(args) > 2 {
			replies = append(replies, strconv.FormatFloat(set[member], 'g', -1, 64))
		}
	}
	return replies
}

// runScript runs the Go equivalent of a script. It recognizes the scripts for leases by the commands that they call.
func (s *Server) runScript(name string, args []string) any {
	source := args[0]
	if name == "evalsha" {
		if source = s.scripts[args[0]]; source == "" {
			return errNoScript
		}
	} else {
		sum := sha1.Sum([]byte(source))
		s.scripts[hex.EncodeToString(sum[:])] = source
	}
	key, args := args[2], args[3:]
	switch {
	case source == "return 0":
		return 0
	case strings.Contains(source, `"PTTL"`): // take over a lease that lasts too long
		if left := s.pttl(key, nil).(int); left != -1 && left <= number(args[1])+10_000 {
			return 0
		}
		s.set(key, []string{args[0] + args[2], "px", args[1]})
		return 1
	}
	held, ok := s.getText(key, nil).(string)
	switch {
	case s.get(key) != nil && !ok:
		return errType
	case len(held) != 24 || held[:16] != args[0]:
		return 0
	case !strings.Contains(source, `"UNLINK"`): // extend it
		s.set(key, []string{args[0] + args[2], "px", args[1]})
	case args[1] == "0": // release it
		return s.unlink(key, nil)
	default: // refuse the lease to all
		s.set(key, []string{"-", "px", args[1]})
	}
	return 1
}
