package middleware

import "net/http"

// sniff sets the type that net/http would guess for a body whose type nobody has told.
func sniff(h http.Header, body []byte) {
	if !typed(h) && len(body) > 0 {
		h["Content-Type"] = []string{http.DetectContentType(body)}
	}
}

// typed reports whether the header tells the type of its body, or leaves nothing to be guessed, as net/http has it.
func typed(h http.Header) bool {
	_, told := h["Content-Type"]
	return told || len(h["Content-Encoding"]) > 0 || h["Transfer-Encoding"] != nil
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}
