package process

import (
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
	"github.com/larder-go/cache/store/otterstore"
	"github.com/larder-go/cache/store/redisstore"
)

// A nearStore is what a cache may keep its copies in.
type nearStore struct {
	name string
	open func(tb testing.TB, entries int) store.Store
}

var nearStores = []nearStore{
	{"larder", openMemstore},
	{"larder-otter", openOtterstore},
}

func openMemstore(tb testing.TB, entries int) store.Store {
	s := memstore.New(memstore.Options{MaxBytes: 8 << 30, MaxEntries: entries})
	tb.Cleanup(func() { s.Close() })
	return s
}

func openOtterstore(tb testing.TB, entries int) store.Store {
	s := otterstore.New(otterstore.Options{MaxBytes: 8 << 30, MaxEntries: entries})
	tb.Cleanup(func() { s.Close() })
	return s
}

// hour is a policy under which nothing expires while it is measured.
var hour = cache.Policy{Class: cache.SharedGlobal, TTL: time.Hour}

func newLarder(tb testing.TB, o cache.Options) *cache.Cache {
	tb.Helper()
	c, err := cache.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close(tb.Context()) })
	return c
}

// larder is the middleware of net/http under the policy, with all defaults but the bounds.
func larder(p cache.Policy, near nearStore) func(testing.TB, *site) func() visitor {
	return func(tb testing.TB, s *site) func() visitor {
		c := newLarder(tb, cache.Options{Near: near.open(tb, int(roomFor(s)))})
		return agents(c.Middleware(p)(s))
	}
}

// larderNear is a copy in memory in front of a real Redis, whose purge log it follows.
func larderNear(tb testing.TB, s *site) func() visitor {
	far, err := redisstore.Open(redistest.Real(tb), redisstore.Options{Prefix: "larder"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { far.Close() })
	c := newLarder(tb, cache.Options{Near: openMemstore(tb, int(roomFor(s))), Far: far, FarBudget: time.Second}) // on a busy machine, too, every page is stored
	p := cache.Policy{Class: cache.HotShared, TTL: time.Hour, NearTTL: time.Hour}
	return agents(c.Middleware(p)(s))
}

func larderEcho(tb testing.TB, s *site) func() visitor {
	c := newLarder(tb, cache.Options{Near: openMemstore(tb, int(roomFor(s)))})
	e := echo.New()
	e.GET(prefix+":id", echo.WrapHandler(s), echocache.Middleware(c, hour))
	return agents(e)
}

func bareEcho(_ testing.TB, s *site) func() visitor {
	body := s.body(uriOf(0)[:pathLen])
	e := echo.New()
	e.GET(prefix+":id", func(c echo.Context) error {
		s.setFields(c.Response().Header())
		c.Response().WriteHeader(http.StatusOK)
		_, err := c.Response().Write(body)
		return err
	})
	return agents(e)
}
