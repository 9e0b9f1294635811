package cache

import (
	"net/http"
	"reflect"
	"unsafe"

	"github.com/larder-go/cache/middleware"
)

// identify says which handler it is, so that one that is wrapped again, with each request perhaps, is the same. A value is
// known by its own comparison; a function by the closure that it is, which no comparison of the language tells from others.
func identify(h http.Handler) middleware.Handler {
	v := reflect.ValueOf(h)
	switch {
	case !v.IsValid():
		return middleware.Handler{}
	case v.Kind() == reflect.Func:
		return middleware.Handler{ID: closure{v.Type(), closureOf(h)}, Code: v.Pointer(), Name: middleware.NameOf(v.Pointer())}
	case v.Comparable():
		return middleware.Handler{ID: h, Code: h, Name: v.Type().String()}
	}
	return middleware.Handler{ID: new(byte), Code: v.Type(), Name: v.Type().String()} // of a type of its own
}

// closure is a function's, which it keeps: another one cannot get its place in memory.
type closure struct {
	is reflect.Type
	at unsafe.Pointer
}

// closureOf returns the second word of an interface that holds a function: where its closure lies.
func closureOf(h http.Handler) unsafe.Pointer { return (*[2]unsafe.Pointer)(unsafe.Pointer(&h))[1] }
