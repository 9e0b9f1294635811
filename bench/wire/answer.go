package main

import (
	"bytes"
	"net/http"
	"strconv"
	"time"
)

// Loads ask for pages of one list, each as often as the others. They differ in nothing but their URL.
const path = "/products"

// query returns a page's, which is also the limits' key in Redis.
func query(page int) string { return "page=" + strconv.Itoa(page) + "&sort=price" }

// asks is what a browser sends, besides Host.
var asks = [][2]string{
	{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
	{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
	{"Accept-Language", "en-GB,en;q=0.7,de;q=0.3"},
	{"Accept-Encoding", "gzip, deflate, br, zstd"},
	{"Referer", "http://127.0.0.1/products?page=1&sort=price"},
	{"Cookie", "theme=dark; consent=1"},
	{"Upgrade-Insecure-Requests", "1"},
	{"Sec-Fetch-Dest", "document"},
	{"Sec-Fetch-Mode", "navigate"},
	{"Sec-Fetch-Site", "same-origin"},
}

// says is the head of the answer, besides what servers add: the fields of the answer in process.
var says = [][2]string{
	{"Content-Type", "application/json"},
	{"Content-Length", strconv.Itoa(len(body))},
	{"Cache-Control", "public, max-age=3600"},
	{"Etag", `"6fbd1a8c"`},
	{"Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"},
}

// lifetime outlasts every run.
const lifetime = time.Hour

// body is 1 KiB.
var body = bytes.Repeat([]byte(`{"id": 42, "name": "Lamp"},    `+"\n"), 32)

// write writes the answer as a handler does that thinks nothing of it.
func write(w http.ResponseWriter, body []byte) {
	head(w.Header())
	_, _ = w.Write(body)
}

func head(h http.Header) {
	for _, s := range says {
		h.Set(s[0], s[1])
	}
}

// ServeHTTP is the handler behind every cache. That it counts its runs is how the harness knows hits.
func (a *app) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a.runs.Add(1)
	write(w, body)
}
