package middleware

import "net/http"

// sniffed is how many bytes of a body net/http looks at to guess its type.
const sniffed = 512

// sniff sets the type that net/http would guess for a body whose type nobody has told.
func sniff(h http.Header, body []byte) {
	if _, typed := h["Content-Type"]; !typed && len(h["Content-Encoding"]) == 0 && len(body) > 0 {
		h["Content-Type"] = []string{http.DetectContentType(body)}
	}
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}
