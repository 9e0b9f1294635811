// Package user carries the user in a context.
//
// Authentication runs outside of the cache. It calls [With] (as cache.WithUser) to put the user's id into the request's context. The
// identity function of a per-user route calls [Of] (as keying.FromContext) to read it.
//
// The handler of a response that everybody gets must not know the user: otherwise the page of one user could be stored for all of them.
// So the context of such a run returns [Hidden] for [Key], whatever the contexts around it say, and nothing inside can change that:
//
//	request's context                Key → "alice"   Of: alice
//	  context of a shared run        Key → Hidden    Of: nobody; With changes nothing
//	    a context that a handler
//	    derives from it              Key → Hidden    Of: nobody; With changes nothing
//
// The user's id is a plain string here. What is stored under it, and purged by it, is a matter of packages keying and keys.
package user

import "context"

// Key is the key of what [With] puts into a context.
//
// It is exported for package steering. The context of a shared run handles it in its own Value method: wrapping it in a context.WithValue
// would cost one more allocation for each run.
type Key struct{}

// Hidden is what the context of a shared run returns for [Key].
type Hidden struct{}

// With returns a context that names the user. The id should change with everything that changes what the user may see, like
// "tenant/subject/permission-version". With an empty id nobody is known. Where the user is hidden, With returns ctx itself.
func With(ctx context.Context, id string) context.Context {
	if _, hidden := ctx.Value(Key{}).(Hidden); hidden {
		return ctx
	}
	return context.WithValue(ctx, Key{}, id)
}

// Of returns the id that [With] put into the context. ok is false if there is none, or if it is hidden.
func Of(ctx context.Context) (id string, ok bool) {
	id, _ = ctx.Value(Key{}).(string)
	return id, id != ""
}
