package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Without a proxy nothing is kept, and each exchange comes to its end.
func TestExchangesEndWithoutAProxy(t *testing.T) {
	o, err := newOrigin()
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	for i, cell := range playAll(t.Context(), "none", "http://"+o.addr(), o) {
		for _, from := range []string{"from the cache", "fresh", "wrong", "gets it", "validates", "no answer"} {
			if strings.Contains(cell, from) {
				t.Errorf("%s: %s", exchanges[i].what, cell)
			}
		}
		if cell == "kept" || cell == "" {
			t.Errorf("%s: %q", exchanges[i].what, cell)
		}
	}
}

// What is not installed is left out, and named with the package that has it.
func TestWhatIsMissingIsNamed(t *testing.T) {
	var out, log bytes.Buffer
	missing := proxy{name: "nowhere", pack: "nowhere-light", version: []string{"no-such-proxy-is-installed", "-v"}}
	if err := run(t.Context(), []proxy{missing}, settings{}, &out, &log); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "apt-get install nowhere-light") || strings.Contains(out.String(), "nowhere") {
		t.Errorf("%q, %q", &log, &out)
	}
}

func TestProxiesAreChosenByName(t *testing.T) {
	if all, err := choose(""); err != nil || len(all) != len(proxies) {
		t.Errorf("%d of %d, %v", len(all), len(proxies), err)
	}
	if some, err := choose("squid,Nginx"); err != nil || len(some) != 2 || some[1].name != "nginx" {
		t.Errorf("%v, %v", namesOf(some), err)
	}
	if _, err := choose("caddy"); err == nil || !strings.Contains(err.Error(), "nginx, Varnish") {
		t.Errorf("an unknown one: %v", err)
	}
}

// All that a proxy writes lies in its own directory, and it listens on 127.0.0.1 alone.
func TestConfigurationsStayAtHome(t *testing.T) {
	at := place{Advised: true, Dir: "/home", Listen: "127.0.0.1:1", Port: "1", Origin: "127.0.0.1:2", OriginPort: "2"}
	for _, p := range proxies {
		all := strings.Join(at.fillAll(p.command), "\n")
		for _, text := range p.files {
			all += at.fill(text)
		}
		for _, word := range strings.FieldsFunc(all, func(r rune) bool { return strings.ContainsRune(" \n;\"", r) }) {
			if strings.HasPrefix(word, "/var") || strings.HasPrefix(word, "/run") || strings.HasPrefix(word, "/etc") {
				t.Errorf("%s: %s", p.name, word)
			}
		}
		if !strings.Contains(all, "127.0.0.1:1") && !strings.Contains(all, "1:ip-in=127.0.0.1") {
			t.Errorf("%s listens elsewhere", p.name)
		}
	}
}

// The table in docs/proxies.md is of these exchanges and these proxies.
func TestTheDocumentShowsTheTable(t *testing.T) {
	content, err := os.ReadFile("../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(content)
	for _, e := range exchanges {
		if !strings.Contains(doc, "\n| "+e.what+" | ") {
			t.Errorf("docs/proxies.md has no row %q", e.what)
		}
	}
	head, _, _ := strings.Cut(doc[strings.Index(doc, "| the origin sends |"):], "\n")
	for _, p := range proxies {
		if !strings.Contains(head, "| "+p.name+" ") {
			t.Errorf("docs/proxies.md has no column of %s", p.name)
		}
		if !strings.Contains(doc, p.pack) {
			t.Errorf("docs/proxies.md does not say how to get %s", p.pack)
		}
	}
}
