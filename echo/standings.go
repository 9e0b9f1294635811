package echocache

import (
	"maps"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache/middleware"
)

// standings are those of the handlers that one Middleware wraps. Echo, and middleware in between, wraps them anew with each
// request, so a handler is identified by its code. They are read without a lock.
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

// handledAt is a handler on a route.
type handledAt struct {
	host, path string
	code       uintptr
}

// handler distinguishes a handler from those of other middleware.
type handler struct {
	route *middleware.Route
	code  uintptr
}

func (s *standings) of(ec echo.Context, next echo.HandlerFunc) *middleware.Standing {
	r := ec.Request()
	at := handledAt{path: ec.Path(), code: reflect.ValueOf(next).Pointer()}
	if routers := ec.Echo().Routers(); len(routers) > 0 && routers[r.Host] != nil {
		at.host = r.Host
	}
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
	h := handler{s.route, at.code}
	added := &standing{at, s.route.Stand(http.MethodGet, at.host, at.path, middleware.Handler{ID: h, Code: h, Func: at.code})}
	all[at] = added
	s.all.Store(&all)
	return added.by
}
