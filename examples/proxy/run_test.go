package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// The proxy serves, and a signal ends it.
func TestRunServesAndStops(t *testing.T) {
	nowhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere.Close()
	set, err := parse([]string{"-origin", "http://" + nowhere.Addr().String(), "-listen", "127.0.0.1:0"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reader, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, set, out)
		out.Close()
	}()
	lines := bufio.NewScanner(reader)
	for lines.Scan() && !strings.Contains(lines.Text(), " at http://") {
	}
	_, address, _ := strings.Cut(lines.Text(), " at ")
	go io.Copy(io.Discard, reader)

	client := &http.Transport{}
	defer client.CloseIdleConnections()
	response, err := (&http.Client{Transport: client}).Get(address)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadGateway {
		t.Errorf("%s for an origin that is not there", response.Status)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}
