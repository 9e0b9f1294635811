package main

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
)

// pseudonym is the proxy's name in Via. It stands for the host name, which clients need not know.
const pseudonym = "larder-proxy"

// addVia records that a message of that HTTP version passed through this proxy (RFC 9110 §7.6.3).
func addVia(h http.Header, major, minor int) {
	version := strconv.Itoa(major)
	if major < 2 {
		version = fmt.Sprintf("%d.%d", major, minor)
	}
	h.Set("Via", strings.Join(append(h.Values("Via"), version+" "+pseudonym), ", "))
}

// maxForwards is the highest Max-Forwards that the proxy sends on.
const maxForwards = 255

// limitForwards obeys Max-Forwards, which limits how often TRACE and OPTIONS are forwarded (RFC 9110 §7.6.2). For other
// methods it has no meaning.
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

// forwards returns how often the request may be forwarded, maxForwards+1 at most; false if there is no limit.
func forwards(r *http.Request) (most int, ok bool) {
	lines := r.Header["Max-Forwards"]
	if r.Method != http.MethodTrace && r.Method != http.MethodOptions || len(lines) != 1 || lines[0] == "" || strings.Trim(lines[0], "0123456789") != "" {
		return 0, false
	}
	most, err := strconv.Atoi(lines[0])
	if err != nil { // it overflows an int
		most = maxForwards
	}
	return min(most, maxForwards+1), true
}

// secrets are request header fields that TRACE must not send back, because scripts could read them there (§9.3.8).
var secrets = []string{"Authorization", "Cookie", "Proxy-Authorization"}

// answerHere responds in place of the origin. To OPTIONS it sends no Allow: only the origin knows its methods.
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
