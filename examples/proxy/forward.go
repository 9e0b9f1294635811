package main

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
)

// pseudonym is what the proxy calls itself in Via: its host is nobody's business.
const pseudonym = "larder-proxy"

// addVia says that a message of that version has passed here (RFC 9110 §7.6.3).
func addVia(h http.Header, major, minor int) {
	version := strconv.Itoa(major)
	if major < 2 {
		version = fmt.Sprintf("%d.%d", major, minor)
	}
	h.Set("Via", strings.Join(append(h.Values("Via"), version+" "+pseudonym), ", "))
}

// maxForwards is the most that Max-Forwards leaves here.
const maxForwards = 255

// limitForwards heeds Max-Forwards, which counts how far TRACE and OPTIONS go (RFC 9110 §7.6.2). Of other methods it says
// nothing.
func limitForwards(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		most, ok := forwards(r)
		switch {
		case ok && most == 0:
			answerHere(w, r)
			return
		case ok:
			r.Header.Set("Max-Forwards", strconv.Itoa(most-1))
		}
		next.ServeHTTP(w, r)
	})
}

// forwards is how far the request may go, maxForwards+1 at most; false if it may go as far as it likes.
func forwards(r *http.Request) (most int, ok bool) {
	lines := r.Header["Max-Forwards"]
	if r.Method != http.MethodTrace && r.Method != http.MethodOptions || len(lines) != 1 || lines[0] == "" || strings.Trim(lines[0], "0123456789") != "" {
		return 0, false
	}
	most, err := strconv.Atoi(lines[0])
	if err != nil { // more than an int holds
		most = maxForwards
	}
	return min(most, maxForwards+1), true
}

// secrets are fields that TRACE must not send back: scripts could read them there (§9.3.8).
var secrets = []string{"Authorization", "Cookie", "Proxy-Authorization"}

// answerHere answers in the place of the origin. What the origin allows only that knows.
func answerHere(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodOptions {
		w.Header().Set("Content-Length", "0")
		return
	}
	for _, name := range secrets {
		r.Header.Del(name)
	}
	message, err := httputil.DumpRequest(r, false)
	if err != nil {
		http.Error(w, "the request cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "message/http")
	_, _ = w.Write(message)
}
