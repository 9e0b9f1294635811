package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A wire is the head of an answer, line by line.
type wire struct {
	status int
	phrase string
	lines  [][2]string
}

func (a *wire) add(name, value string) { a.lines = append(a.lines, [2]string{name, value}) }

func (a *wire) values(name string) (values []string) {
	for _, line := range a.lines {
		if strings.EqualFold(line[0], name) {
			values = append(values, line[1])
		}
	}
	return values
}

// final adds what Node's server adds, and the body.
func (a *wire) final(method, body string) []byte {
	for _, line := range [][2]string{
		{"Content-Type", "text/plain"},
		{"Date", time.Now().UTC().Format(http.TimeFormat)},
		{"Connection", "keep-alive"},
	} {
		if a.values(line[0]) == nil {
			a.add(line[0], line[1])
		}
	}
	if method == http.MethodHead || a.status == http.StatusNoContent || a.status == http.StatusNotModified {
		return a.bytes("")
	}
	if declared := a.values("Content-Length"); declared != nil {
		if n, err := strconv.Atoi(declared[0]); err == nil && n < len(body) {
			body = body[:n] // the rest would be taken for the next answer
		}
	} else if a.values("Transfer-Encoding") == nil {
		a.add("Content-Length", strconv.Itoa(len(body)))
	}
	return a.bytes(body)
}

func (a *wire) bytes(body string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %03d %s\r\n", a.status, a.phrase)
	for _, line := range a.lines {
		fmt.Fprintf(&b, "%s: %s\r\n", line[0], line[1])
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}
