package main

import (
	"errors"
	"flag"
	"io"
	"log"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/larder-go/cache"
)

func TestMain(m *testing.M) {
	flag.Parse()
	log.SetOutput(io.Discard) // origins fail on purpose
	goleak.VerifyTestMain(m)
}

// What the command line has wrong is said with its remedy.
func TestBadFlagsAreNamed(t *testing.T) {
	origin := []string{"-origin", "http://127.0.0.1:3000"}
	for _, c := range []struct {
		args []string
		want []string // in the error
	}{
		{nil, []string{"-origin is missing", "-origin http://127.0.0.1:3000"}},
		{[]string{"-origin", "127.0.0.1:3000"}, []string{"http or https URL", "http://127.0.0.1:3000"}},
		{[]string{"-origin", "ftp://example.com"}, []string{"http or https URL"}},
		{append(origin, "extra"), []string{`unknown argument "extra"`, "-listen"}},
		{append(origin, "-timeout", "0s"), []string{"-timeout 0s", "-timeout 15s"}},
		{append(origin, "-timeout", "soon"), []string{"-timeout", "soon"}},
		{append(origin, "-class", "global"), []string{"-class", `"global"`, "shared-global"}},
		{append(origin, "-class", ""), []string{"-class", "shared-global"}},
		{append(origin, "-class", "shared-global ttl=5s"), []string{"-class", "the class alone"}},
		{append(origin, "-class", "per-user"), []string{"who is asking", "shared-global"}},
		{append(origin, "-class", "hot-shared"), []string{"-redis is missing", "-redis redis://"}},
		{append(origin, "-class", "fleet-shared"), []string{"-redis is missing", "-class shared-global"}},
	} {
		_, err := parse(c.args, io.Discard)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: the error is %v, want %q in it", c.args, err, want)
			}
		}
	}
	if _, err := parse([]string{"-help"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: %v", err)
	}
}

func TestGoodFlagsAreTaken(t *testing.T) {
	set, err := parse([]string{"-origin", "https://example.com/app", "-class", "hot-shared", "-redis", "redis://r:6379", "-listen", ":80", "-timeout", "3s"}, io.Discard)
	if err != nil || set.origin.String() != "https://example.com/app" || set.class != cache.HotShared || set.redis != "redis://r:6379" || set.listen != ":80" || set.timeout != 3*time.Second {
		t.Errorf("got %+v, %v", set, err)
	}
	set, err = parse([]string{"-origin", "http://example.com"}, io.Discard)
	if err != nil || set.class != cache.SharedGlobal || set.listen != "127.0.0.1:8080" || set.timeout != 15*time.Second {
		t.Errorf("got %+v, %v", set, err)
	}
}

func TestRunNamesWhatItCannotUse(t *testing.T) {
	set, err := parse([]string{"-origin", "http://example.com", "-class", "hot-shared", "-redis", "localhost:6379", "-listen", "127.0.0.1:0"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), set, io.Discard); err == nil || !strings.Contains(err.Error(), "redis") {
		t.Errorf("a Redis without a URL: %v", err)
	}
	set.redis, set.listen = "", "127.0.0.1:none"
	if err := run(t.Context(), set, io.Discard); err == nil || !strings.Contains(err.Error(), "-listen") {
		t.Errorf("a port that is none: %v", err)
	}
}
