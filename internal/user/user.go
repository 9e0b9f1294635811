// Package user carries in a context who the user is.
//
// Authentication, outside of the cache, puts the id there (cache.WithUser calls [With]), and the identity function of per-user routes
// (keying.FromContext calls [Of]) reads it. Within the handler of a response that everyone gets, nobody is known. There the run's
// context answers [Hidden] to [Key], whatever the contexts around it say:
//
//	request's context      Key → "alice"
//	  run of a shared      Key → Hidden       Of: nobody; With: changes nothing
//	    handler's own      Key → Hidden       so no layer inside can bring the user back
package user

import "context"

// Key is the key of what [With] puts into a context. A context may answer [Hidden] to it.
type Key struct{}

// Hidden is what the context of a shared response's run answers to [Key].
type Hidden struct{}

// With returns a context that names the user. The id should change with everything that changes what the user may see:
// "tenant/subject/permission-version". An empty id means that nobody is known. Where the user is hidden it returns the context as it is.
func With(ctx context.Context, id string) context.Context {
	if _, hidden := ctx.Value(Key{}).(Hidden); hidden {
		return ctx
	}
	return context.WithValue(ctx, Key{}, id)
}

// Of returns the id that [With] put into the context, and whether there is one.
func Of(ctx context.Context) (id string, ok bool) {
	id, _ = ctx.Value(Key{}).(string)
	return id, id != ""
}
