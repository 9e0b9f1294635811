// Command echo caches routes of an echo app by a table of policies, and purges what has changed.
//
//	go run ./examples/echo
//	curl -i http://127.0.0.1:8082/notes/1                        # again: Cache-Status: larder; hit
//	curl -X PUT http://127.0.0.1:8082/notes/1 -d 'Buy more tea'  # look again: a miss, and the new text
package main

import (
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
)

const table = `GET /notes/{id}  shared-global ttl=10m tags=note:{id} status=404:5s`

func main() {
	c, err := cache.New(cache.Options{})
	if err != nil {
		log.Fatal(err)
	}
	notes := &notebook{cache: c}
	notes.texts.Store("1", "Buy tea")

	e := echo.New()
	e.HideBanner = true
	e.GET("/notes/:id", notes.show)
	e.PUT("/notes/:id", notes.write)

	// A policy on one route …
	e.GET("/hour", hour, echocache.Middleware(c, cache.Policy{Class: cache.SharedGlobal, TTL: time.Minute}))

	// … or a table of them, once all routes are registered.
	routes, err := cache.ParseRoutes(strings.NewReader(table))
	if err != nil {
		log.Fatal(err)
	}
	if err := echocache.Annotate(c, e, routes); err != nil {
		log.Fatal(err)
	}
	log.Print("try: curl -i http://127.0.0.1:8082/notes/1")
	log.Fatal(e.Start("127.0.0.1:8082"))
}

type notebook struct {
	cache *cache.Cache
	texts sync.Map
}

func (n *notebook) show(ec echo.Context) error {
	log.Print("the handler runs for ", ec.Param("id"))
	text, ok := n.texts.Load(ec.Param("id"))
	if !ok {
		return ec.String(http.StatusNotFound, "no such note\n")
	}
	return ec.String(http.StatusOK, text.(string)+"\n")
}

func (n *notebook) write(ec echo.Context) error {
	text, err := io.ReadAll(io.LimitReader(ec.Request().Body, 1000))
	if err != nil {
		return err
	}
	n.texts.Store(ec.Param("id"), string(text)) // first the change, then the purge
	if err := n.cache.Purge(ec.Request().Context(), cache.Tag("note:"+ec.Param("id"))); err != nil {
		return err
	}
	return ec.NoContent(http.StatusNoContent)
}

func hour(ec echo.Context) error { return ec.String(http.StatusOK, time.Now().Format("15:04\n")) }
