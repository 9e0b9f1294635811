package process

import (
	"testing"
	"time"

	echohttpcache "github.com/SporkHubr/echo-http-cache"
	"github.com/SporkHubr/echo-http-cache/adapter/memory"
	gincache "github.com/chenyahui/gin-cache"
	"github.com/chenyahui/gin-cache/persist"
	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"
)

// ginCache is as its documentation has it: by request URI, in its own memory store.
func ginCache(tb testing.TB, s *site) func() visitor {
	gin.SetMode(gin.ReleaseMode)
	pages := persist.NewMemoryStore(time.Hour)
	tb.Cleanup(func() { pages.Cache.Close() })
	e := gin.New()
	e.GET(prefix+":id", gincache.CacheByRequestURI(pages, time.Hour), gin.WrapH(s))
	return agents(e)
}

func bareGin(_ testing.TB, s *site) func() visitor {
	gin.SetMode(gin.ReleaseMode)
	body := s.body(uriOf(0)[:pathLen])
	e := gin.New()
	e.GET(prefix+":id", func(c *gin.Context) {
		s.setFields(c.Writer.Header())
		_, _ = c.Writer.Write(body)
	})
	return agents(e)
}

// echoHTTPCache is as its documentation has it: LRU, with room for ten million.
func echoHTTPCache(tb testing.TB, s *site) func() visitor {
	adapter, err := memory.NewAdapter(memory.AdapterWithAlgorithm(memory.LRU), memory.AdapterWithCapacity(10_000_000))
	if err != nil {
		tb.Fatal(err)
	}
	client, err := echohttpcache.NewClient(echohttpcache.ClientWithAdapter(adapter),
		echohttpcache.ClientWithTTL(time.Hour), echohttpcache.ClientWithRefreshKey("opn"))
	if err != nil {
		tb.Fatal(err)
	}
	e := echo.New()
	e.Use(client.Middleware())
	e.GET(prefix+":id", echo.WrapHandler(s))
	return agents(e)
}
