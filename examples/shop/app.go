package main

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"sync"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
)

// settings are what the command line and the environment say.
type settings struct {
	framework string
	listen    string
	database  string
	redisURL  string
}

// maxForm is the longest body of a request, in bytes.
const maxForm = 16 << 10

// An app is the shop with everything that it needs.
type app struct {
	handler    http.Handler
	cache      *cache.Cache
	db         *sql.DB
	closeRedis func()
	endStreams func() // ends open streams; it may be called more than once
}

// open builds the app. The database must be available, but Redis may come later.
func open(set settings) (*app, error) {
	a := &app{closeRedis: func() {}}
	if err := a.open(set); err != nil {
		a.close(context.Background())
		return nil, err
	}
	return a, nil
}

func (a *app) open(set settings) (err error) {
	if a.db, err = openDatabase(set.database); err != nil {
		return err
	}
	far, closeRedis, err := openRedis(set.redisURL)
	if err != nil {
		return err
	}
	a.closeRedis = closeRedis
	a.cache, err = cache.New(cache.Options{Far: far, User: keying.FromContext()})
	if err != nil {
		return err
	}
	s := newShop(a.db, a.cache)
	a.endStreams = sync.OnceFunc(func() { close(s.closing) })
	router, err := s.router(set.framework)
	if err != nil {
		return err
	}
	guard := http.NewCrossOriginProtection() // no POSTs from other sites
	a.handler = guard.Handler(s.sessions(http.MaxBytesHandler(router, maxForm)))
	return nil
}

func (a *app) close(ctx context.Context) (err error) {
	if a.cache != nil {
		err = a.cache.Close(ctx)
	}
	a.closeRedis()
	if a.db != nil {
		err = errors.Join(err, a.db.Close())
	}
	return err
}
