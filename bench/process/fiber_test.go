package process

import (
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	fibercache "github.com/gofiber/fiber/v3/middleware/cache"
	"github.com/gofiber/utils/v2"
	"github.com/valyala/fasthttp"
)

// fiberCache is Fiber's own middleware with its defaults, apart from what makes its answers the same as the others': the
// header is kept, the query selects (by default the path alone does), and the bound (1 MiB) holds the site.
func fiberCache(_ testing.TB, s *site) func() visitor {
	app := fiber.New()
	app.Use(fibercache.New(fibercache.Config{
		Expiration:           time.Hour,
		StoreResponseHeaders: true,
		KeyGenerator:         func(c fiber.Ctx) string { return utils.CopyString(c.OriginalURL()) },
		MaxBytes:             1 << 30,
	}))
	app.Get(prefix+":id", func(c fiber.Ctx) error {
		s.runs.Add(1)
		for _, f := range fields {
			c.Set(f.name, f.value)
		}
		return c.Send(s.body(c.Path()))
	})
	return riders(app)
}

func bareFiber(_ testing.TB, s *site) func() visitor {
	body := s.body(uriOf(0)[:pathLen])
	app := fiber.New()
	app.Get(prefix+":id", func(c fiber.Ctx) error {
		for _, f := range fields {
			c.Set(f.name, f.value)
		}
		return c.Send(body)
	})
	return riders(app)
}

// A rider is a visitor of a Fiber app, by fasthttp's reused contexts.
type rider struct {
	handler fasthttp.RequestHandler
	ctx     fasthttp.RequestCtx
}

func riders(app *fiber.App) func() visitor {
	handler := app.Handler()
	return func() visitor {
		r := &rider{handler: handler}
		r.ctx.Request.Header.SetMethod(fiber.MethodGet)
		r.ctx.Request.Header.SetHost("shop.example.com")
		for name, values := range browser {
			r.ctx.Request.Header.Set(name, values[0])
		}
		return r
	}
}

func (r *rider) visit(uri string) {
	r.ctx.Request.SetRequestURI(uri)
	r.ctx.Response.Reset()
	r.handler(&r.ctx)
}

func (r *rider) watch(uri string) (contentType string, body []byte) {
	r.visit(uri)
	return string(r.ctx.Response.Header.ContentType()), r.ctx.Response.Body()
}
