package redisstore_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// An author is a process that reads and purges. What it appends gets the id that is set, once, as from a clock of the
// test's; and then is called once Redis has acknowledged it.
type author struct {
	*redisstore.Store
	id   string
	then func()
	told atomic.Int64 // losses
}

func newAuthor(t *testing.T, addr string) *author {
	client := dial(t, addr)
	a := &author{Store: on(t, client, redisstore.Options{})}
	client.AddHook(a)
	t.Cleanup(a.OnFault(func(err error) {
		if !errors.Is(err, store.ErrRecordsLost) {
			t.Errorf("told of %v", err)
		}
		a.told.Add(1)
	}))
	return a
}

func (a *author) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (a *author) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (a *author) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		add := slices.IndexFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Name() == "xadd" })
		if add >= 0 && a.id != "" {
			args := cmds[add].Args()
			args[slices.Index(args, any("*"))], a.id = a.id, ""
		}
		err := next(ctx, cmds)
		if then := a.then; add >= 0 && then != nil {
			a.then = nil
			then()
		}
		return err
	}
}

// A scene is four processes: two have the record that gets lost, one has read the log before it, and one is new.
type scene struct {
	t                      *testing.T
	client                 *redis.Client
	purger, reader, behind *author
	fresh                  *author
	before                 string // the log before the purge, dumped
}

func (s *scene) dump() string { return s.client.Dump(s.t.Context(), logName).Val() }

func (s *scene) restore() {
	if err := s.client.RestoreReplace(s.t.Context(), logName, time.Hour, s.before).Err(); err != nil {
		s.t.Error(err)
	}
}

func (s *scene) last() string {
	return s.client.XRevRangeN(s.t.Context(), logName, "+", "-", 1).Val()[0].ID
}

func (s *scene) purge(a *author, tag string) string {
	purge(s.t, a.Store, tag)
	return s.last()
}

func (s *scene) read(all ...*author) {
	for _, a := range all {
		eventually(s.t, "Redis answers", func() bool { return a.CatchUp(s.t.Context()) == nil })
	}
}

// waysToLose are ways to lose a purge of "one" that was acknowledged.
var waysToLose = map[string]func(s *scene){
	"an older log": func(s *scene) {
		s.purge(s.purger, "one")
		s.read(s.reader)
		s.restore()
	},
	"an older log, and others purge": func(s *scene) {
		s.purge(s.purger, "one")
		s.read(s.reader)
		s.restore()
		s.purge(s.behind, "x")
		s.purge(s.fresh, "y")
	},
	"the last of several": func(s *scene) {
		for range 3 {
			s.purge(s.behind, "x")
		}
		s.before = s.dump()
		s.purge(s.purger, "one")
		s.purge(s.reader, "z")
		s.restore()
	},
	"acknowledged and lost at once": func(s *scene) {
		s.purger.then = s.restore
		s.purge(s.purger, "one")
		s.read(s.purger, s.reader)
	},
	"lost at once, before others purge": func(s *scene) {
		s.purger.then = func() { s.restore(); s.purge(s.behind, "x") }
		s.purge(s.purger, "one")
	},
	"a clock that is behind": func(s *scene) {
		s.purger.id = "9000000000000-7"
		s.purge(s.purger, "one")
		s.read(s.reader)
		s.restore()
		s.purge(s.behind, "x")
	},
	"deleted": func(s *scene) {
		id := s.purge(s.purger, "one")
		s.read(s.reader)
		s.client.XDel(s.t.Context(), logName, id)
	},
	"deleted, and others purge": func(s *scene) {
		id := s.purge(s.purger, "one")
		s.read(s.reader)
		s.client.XDel(s.t.Context(), logName, id)
		s.purge(s.behind, "x")
	},
	"deleted from the middle": func(s *scene) {
		id := s.purge(s.purger, "one")
		s.purge(s.reader, "x")
		s.read(s.purger) // nobody misses the record that he has read last
		s.client.XDel(s.t.Context(), logName, id)
	},
	"its id is another's": func(s *scene) {
		id := s.purge(s.purger, "one")
		s.read(s.reader)
		s.restore()
		s.behind.id = id
		s.purge(s.behind, "x")
	},
	"its id is that of the same purge of another": func(s *scene) {
		s.purge(s.purger, "one")
		id := s.purge(s.reader, "x")
		s.read(s.purger)
		s.restore()
		s.behind.id = id
		s.purge(s.behind, "x")
	},
	"its id is another's, in the middle": func(s *scene) {
		id := s.purge(s.purger, "one")
		next := s.purge(s.reader, "x")
		s.read(s.purger)
		s.restore()
		s.behind.id = id
		s.purge(s.behind, "y")
		s.behind.id = next
		s.purge(s.behind, "x")
	},
	"an older log of an older epoch": func(s *scene) {
		s.client.Del(s.t.Context(), logName)
		s.read(s.purger, s.reader)
		s.purge(s.purger, "one")
		s.read(s.reader)
		s.restore()
	},
}

func newScene(t *testing.T) (*scene, keying.Key) {
	addr := redistest.NewProcess(t).Addr()
	s := &scene{t: t, client: dial(t, addr)}
	for _, a := range []**author{&s.purger, &s.reader, &s.behind, &s.fresh} {
		*a = newAuthor(t, addr)
	}
	keep(t, s.purger.Store, "k")
	s.purge(s.reader, "before")
	s.read(s.purger, s.reader, s.behind)
	key := keep(t, s.purger.Store, "k")
	s.before = s.dump()
	return s, key
}

// A purge that was acknowledged holds although Redis has lost it, for those who knew of it and, once one of them has looked
// at the log, for all; and that is told, and comes to an end.
func TestAPurgeOutlivesItsRecord(t *testing.T) {
	for name, lose := range waysToLose {
		for first, order := range map[string]func(s *scene) []*author{
			"the purger":  func(s *scene) []*author { return []*author{s.purger, s.behind, s.reader, s.fresh} },
			"the reader":  func(s *scene) []*author { return []*author{s.reader, s.fresh, s.behind, s.purger} },
			"one behind":  func(s *scene) []*author { return []*author{s.behind, s.reader, s.purger, s.fresh} },
			"the new one": func(s *scene) []*author { return []*author{s.fresh, s.purger, s.behind, s.reader} },
		} {
			t.Run(name+", first "+first, func(t *testing.T) {
				s, key := newScene(t)
				lose(s)
				all := order(s)
				s.read(all...)
				s.read(all...)
				told := int64(0)
				for i, a := range all {
					if got := state(t, a.Store, key); got != store.Gone {
						t.Errorf("process %d: the entry is %d; want it gone", i, got)
					}
					n := a.told.Load()
					if told += n; n > 2 {
						t.Errorf("process %d was told %d times", i, n)
					}
				}
				if told == 0 {
					t.Error("nobody was told")
				}
				length := s.client.XLen(t.Context(), logName).Val()
				s.read(all...)
				if n := s.client.XLen(t.Context(), logName).Val(); n != length {
					t.Errorf("the log goes on growing, from %d records to %d", length, n)
				}
				keep(t, s.behind.Store, "k")
				for i, a := range all {
					if got := state(t, a.Store, key); got != store.Live {
						t.Errorf("process %d: what was kept since is %d; want it live", i, got)
					}
				}
			})
		}
	}
}

// Of a purge that nobody has lost nobody is told, and no epoch is begun: not when the log is trimmed past a process, nor
// when another process begins an epoch.
func TestATrimIsNoLoss(t *testing.T) {
	s, _ := newScene(t)
	for range 3 {
		s.purge(s.purger, "x")
	}
	s.client.XTrimMaxLen(t.Context(), logName, 2)
	key := keep(t, s.purger.Store, "k")
	for _, a := range []*author{s.behind, s.reader, s.fresh} {
		if got := state(t, a.Store, key); got != store.Live {
			t.Errorf("what was kept since is %d; want it live", got)
		}
		if n := a.told.Load(); n != 0 {
			t.Errorf("told of %d losses", n)
		}
	}
	if n := s.client.XLen(t.Context(), logName).Val(); n != 2 {
		t.Errorf("%d records; want the two that are left", n)
	}
}

// A purge that is written under an epoch that has just ended names what it names, and brings the old epoch not back.
func TestAPurgeOfAnEarlierEpochIsOneOfTheNew(t *testing.T) {
	s, _ := newScene(t)
	old := s.client.XRevRangeN(t.Context(), logName, "+", "-", 1).Val()[0]
	near := stamped(s.behind, "k")
	s.client.XDel(t.Context(), logName, old.ID)
	s.read(s.purger, s.reader, s.behind)
	key := keep(t, s.reader.Store, "k")
	other := storetest.Entry(storetest.Key("other"), "other")
	other.Labels = labels("other")
	s.reader.Ledger().Stamp(other)
	if err := s.reader.Set(t.Context(), other.Key, other, time.Minute); err != nil {
		t.Fatal(err)
	}
	r, err := store.Codec{}.DecodeRecord([]byte(old.Values["r"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	r.Labels = labels("one")
	text, err := store.Codec{}.EncodeRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	s.client.XAdd(t.Context(), &redis.XAddArgs{Stream: logName, Values: []any{"r", text}})
	for _, a := range []*author{s.purger, s.reader, s.behind, s.fresh} {
		wantState(t, a.Store, key, store.Gone)
		if a != s.fresh { // who has not read the log before the first epoch ended
			wantState(t, a.Store, other.Key, store.Live)
		}
	}
	if got := s.behind.Ledger().State(near); got != store.Gone {
		t.Errorf("a copy of the earlier epoch is %d; want it gone", got)
	}
}
