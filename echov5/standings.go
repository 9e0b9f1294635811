package echocache

import (
	"maps"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/labstack/echo/v5"

	"github.com/larder-go/cache/middleware"
)

// standings are those of the handlers that one Middleware wraps. Some code wraps them anew with each request, such as
// middleware that is applied conditionally: a handler is identified by its code and its Echo. They are read without a
// lock.
type standings struct {
	route *middleware.Route
	last  atomic.Pointer[standing]

	mu  sync.Mutex
	all atomic.Pointer[map[handledAt]*standing] // never changed, only replaced under mu
}

type standing struct {
	at handledAt
	by *middleware.Standing
}

// handledAt is a handler on a route of an Echo, which knows no hosts.
type handledAt struct {
	echo *echo.Echo
	path string
	code uintptr
}

// handler distinguishes a handler from those of other middleware.
type handler struct {
	route *middleware.Route
	echo  *echo.Echo
	code  uintptr
}

func (s *standings) of(ec *echo.Context, next echo.HandlerFunc) *middleware.Standing {
	r := ec.Request()
	at := handledAt{ec.Echo(), ec.Path(), reflect.ValueOf(next).Pointer()}
	if known := s.last.Load(); known != nil && known.at == at {
		return known.by
	}
	if all := s.all.Load(); all != nil {
		if known := (*all)[at]; known != nil {
			s.last.Store(known)
			return known.by
		}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil
	}
	return s.add(at)
}

func (s *standings) add(at handledAt) *middleware.Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[handledAt]*standing{}
	if known := s.all.Load(); known != nil {
		all = maps.Clone(*known)
	}
	h := middleware.Handler{ID: handler{s.route, at.echo, at.code}, Code: handler{s.route, nil, at.code}, Func: at.code}
	added := &standing{at, s.route.Stand(http.MethodGet, "", at.path, h)}
	all[at] = added
	s.all.Store(&all)
	return added.by
}
