// Package user carries who is asking in a context.
package user

import "context"

// Key is the key in contexts of what [With] puts there. A context may answer [Hidden] to it.
type Key struct{}

// Hidden is what a context answers to [Key] for what is made for everyone: nobody is known within it, and nobody
// becomes so by [With].
type Hidden struct{}

// With returns a context that names the user for keying.FromContext. The id should change with everything that changes
// what the user may see: "tenant/subject/permission-version". An empty id means that nobody is known. Within the handler of
// a shared answer it changes nothing: such an answer is nobody's.
func With(ctx context.Context, id string) context.Context {
	if _, hidden := ctx.Value(Key{}).(Hidden); hidden {
		return ctx
	}
	return context.WithValue(ctx, Key{}, id)
}

// Of returns the id that [With] put into the context.
func Of(ctx context.Context) (id string, ok bool) {
	id, _ = ctx.Value(Key{}).(string)
	return id, id != ""
}
