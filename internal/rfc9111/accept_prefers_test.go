package rfc9111

import "testing"

func TestPrefers(t *testing.T) {
	for _, tt := range []struct {
		accept, one, other string
		want               bool
	}{
		{"application/json", "application/json", "text/html", true},
		{"application/json", "text/html", "application/json", false},
		{"text/html;q=0.5, application/json", "application/json", "text/html", true},
		{"*/*", "application/json", "text/html", false},
		{"image/avif, image/*, */*;q=0.8", "image/jpeg", "image/png", false},
		{"image/avif, image/*, */*;q=0.8", "image/jpeg", "text/html", true},
		{"text/*;q=0.1, text/html", "text/html", "text/plain", true},
		{"TEXT/HTML", "text/html", "text/plain", true},
		{"de-DE, en;q=0.5", "de", "en", true},
		{"de, en;q=0.5", "de-AT", "en-GB", true},
		{"*, de;q=0", "de", "en", false},
		{"*, de;q=0", "en", "de", true},
		{"", "de", "en", false},
		{"de;q=nonsense", "de", "en", false},
		{";;,/*,", "a/b", "", false},
	} {
		if got := Prefers([]string{tt.accept}, tt.one, tt.other); got != tt.want {
			t.Errorf("Prefers(%q, %q, %q) = %v; want %v", tt.accept, tt.one, tt.other, got, tt.want)
		}
	}
}
