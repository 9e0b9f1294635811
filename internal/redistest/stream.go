package redistest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stream is a log of records, the oldest first.
type stream struct {
	records []record
	last    id
}

type record struct {
	id     id
	fields []string // names and values
}

// id is the id of a record: milliseconds and a sequence number.
type id struct{ time, seq uint64 }

func (i id) String() string { return fmt.Sprintf("%d-%d", i.time, i.seq) }

func compare(a, b id) int { return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.seq, b.seq)) }

// parse reads an id. If it has no sequence number, that is seq.
func parse(text string, seq uint64) (i id) {
	switch text {
	case "-":
		return id{}
	case "+":
		return id{1<<64 - 1, 1<<64 - 1}
	}
	time, rest, whole := strings.Cut(text, "-")
	i.time, _ = strconv.ParseUint(time, 10, 64)
	i.seq = seq
	if whole {
		i.seq, _ = strconv.ParseUint(rest, 10, 64)
	}
	return i
}

var errOld = errors.New("ERR The ID specified in XADD is equal or smaller than the target stream top item")

func (s *Server) streamOf(key string) (*stream, error) {
	v := s.get(key)
	switch {
	case v == nil:
		return nil, nil
	case v.stream == nil:
		return nil, errType
	}
	return v.stream, nil
}

// xadd reads [NOMKSTREAM] [MAXLEN [~] n] id field value …
func (s *Server) xadd(key string, args []string) any {
	st, err := s.streamOf(key)
	if err != nil {
		return err
	}
	if strings.EqualFold(args[0], "nomkstream") {
		if args = args[1:]; st == nil {
			return nil
		}
	}
	most := -1
	if strings.EqualFold(args[0], "maxlen") {
		args = args[1:]
		if args[0] == "~" {
			args = args[1:]
		}
		most, args = number(args[0]), args[1:]
	}
	if st == nil {
		st = &stream{}
	}
	at := parse(args[0], 0)
	if args[0] == "*" {
		at = id{time: uint64(s.now().UnixMilli())}
		if compare(at, st.last) <= 0 {
			at = id{st.last.time, st.last.seq + 1}
		}
	}
	if compare(at, st.last) <= 0 {
		return errOld
	}
	if s.get(key) == nil {
		s.data[key] = &value{stream: st}
	}
	st.last, st.records = at, append(st.records, record{at, args[1:]})
	if most >= 0 {
		st.trim(most)
	}
	close(s.added)
	s.added = make(chan struct{})
	return at.String()
}

func (st *stream) trim(most int) (gone int) {
	gone = max(len(st.records)-most, 0)
	st.records = st.records[gone:]
	return gone
}

func (s *Server) xlen(key string, _ []string) any {
	st, err := s.streamOf(key)
	switch {
	case err != nil:
		return err
	case st == nil:
		return 0
	}
	return len(st.records)
}

// xtrim reads MAXLEN [=|~] n.
func (s *Server) xtrim(key string, args []string) any {
	st, err := s.streamOf(key)
	switch {
	case err != nil:
		return err
	case st == nil:
		return 0
	}
	return st.trim(number(args[len(args)-1]))
}

// between returns the records from one id to another, both included.
func (st *stream) between(from, to id) []record {
	if st == nil {
		return nil
	}
	order := func(r record, at id) int { return compare(r.id, at) }
	first, _ := slices.BinarySearchFunc(st.records, from, order)
	last, found := slices.BinarySearchFunc(st.records, to, order)
	if found {
		last++
	}
	return st.records[min(first, last):last]
}

// xrange reads from to [COUNT n].
func (s *Server) xrange(key string, args []string) any {
	st, err := s.streamOf(key)
	if err != nil {
		return err
	}
	return told(st.between(parse(args[0], 0), parse(args[1], 1<<64-1)), args[2:])
}

// xrevrange reads to from [COUNT n].
func (s *Server) xrevrange(key string, args []string) any {
	st, err := s.streamOf(key)
	if err != nil {
		return err
	}
	records := slices.Clone(st.between(parse(args[1], 0), parse(args[0], 1<<64-1)))
	slices.Reverse(records)
	return told(records, args[2:])
}

func told(records []record, count []string) any {
	if len(count) == 2 {
		records = records[:min(number(count[1]), len(records))]
	}
	replies := make([]any, len(records))
	for i, r := range records {
		replies[i] = []any{r.id.String(), texts(r.fields)}
	}
	return replies
}

// awaitRecords runs XREAD COUNT n BLOCK ms STREAMS key id.
func (s *Server) awaitRecords(command []string) any {
	if len(command) != 8 {
		return errSyntax
	}
	timer := time.NewTimer(time.Duration(number(command[4])) * time.Millisecond)
	defer timer.Stop()
	key, after := command[6], command[7]
	for {
		reply, from, added := s.recordsAfter(key, after, command[1:3])
		if reply != nil {
			return reply
		}
		after = from
		select {
		case <-added:
		case <-timer.C:
			return nothing{}
		case <-s.done:
			return nothing{}
		}
	}
}

// recordsAfter returns the reply with the records after the id, or nil if there are none, the id to continue from, and a
// channel that is closed when a record is added.
func (s *Server) recordsAfter(key, after string, count []string) (reply any, from string, added chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.streamOf(key)
	if err != nil {
		return err, after, nil
	}
	if after == "$" {
		after = id{}.String()
		if st != nil {
			after = st.last.String()
		}
	}
	at := parse(after, 0)
	at.seq++
	if records := st.between(at, parse("+", 0)); len(records) > 0 {
		return []any{[]any{key, told(records, count)}}, after, nil
	}
	return nil, after, s.added
}
