package main

import (
	_ "embed"
	"io"
	"log/slog"
	"net"
	"strconv"
	"text/template"
)

var (
	//go:embed banner.txt
	bannerText string
	bannerForm = template.Must(template.New("banner").Parse(bannerText))
)

// banner prints the settings and what to try.
func banner(out io.Writer, set settings, addr net.Addr) {
	err := bannerForm.Execute(out, map[string]any{
		"Framework": set.framework,
		"Database":  set.database,
		"Redis":     redisName(set.redisURL),
		"Embedded":  set.redisURL == "",
		"URL":       "http://" + reachable(addr),
	})
	if err != nil {
		slog.Error("the banner was not written", "error", err)
	}
}

// reachable returns a host and port that reach the listener from this machine.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return addr.String()
	}
	if tcp.IP.IsUnspecified() {
		return "localhost:" + strconv.Itoa(tcp.Port)
	}
	return tcp.String()
}
