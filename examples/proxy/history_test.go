package main

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A history is what the origin has seen of one case.
type history struct {
	steps  []*step
	sent   []map[string]string // by step: validators, by lower-case name
	visits []*visit
}

// A visit is one request that reached the origin.
type visit struct {
	number int
	method string
	header http.Header
	sent   map[string][]string // the answer's fields that the client must see
}

// compose makes the answer to the step and notes the visit.
func (h *history) compose(s *step, r *http.Request, number int) *wire {
	a := &wire{}
	a.status, a.phrase = h.status(s, r, number)
	now := time.Now()
	a.add("Server-Base-Url", r.RequestURI)
	a.add("Server-Request-Count", strconv.Itoa(len(h.visits)+1))
	a.add("Client-Request-Count", strconv.Itoa(number))
	a.add("Server-Now", strconv.FormatInt(now.UnixMilli(), 10))
	v := &visit{number: number, method: r.Method, header: r.Header, sent: map[string][]string{}}
	sent := map[string]string{}
	for _, f := range s.Header {
		a.add(f.name, f.value(s, now, r.RequestURI))
		if !f.silent() {
			v.sent[f.name] = a.values(f.name)
		}
		sent[strings.ToLower(f.name)] = f.value(s, now, r.RequestURI)
	}
	h.sent[number-1] = sent
	h.visits = append(h.visits, v)
	var numbers []string
	for _, v := range h.visits {
		numbers = append(numbers, strconv.Itoa(v.number))
	}
	a.add("Request-Numbers", strings.Join(numbers, " "))
	return a
}

// status is 304 where the case wants a validation and the request has the validator of the step before; 999 tells the
// client that it has not.
func (h *history) status(s *step, r *http.Request, number int) (code int, phrase string) {
	if !strings.HasSuffix(s.Type, "validated") || number < 2 {
		return s.status()
	}
	before := h.sent[number-2]
	if before == nil { // the cache has answered; dates that are told relative to the answer match nothing then
		before = h.steps[number-2].texts()
	}
	for validator, condition := range map[string]string{"last-modified": "If-Modified-Since", "etag": "If-None-Match"} {
		if before[validator] != "" && r.Header.Get(condition) == before[validator] {
			return http.StatusNotModified, "Not Modified"
		}
	}
	return 999, "304 Not Generated"
}
