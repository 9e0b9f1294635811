package redisstore_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

func TestOpenTakes(t *testing.T) {
	for _, url := range []string{
		"redis://127.0.0.1:1", "redis://user:p%40ss@127.0.0.1:1/3?pool_size=5&read_timeout=100ms", "rediss://:pw@127.0.0.1:1",
		"unix:///nowhere/redis.sock", "redis+cluster://127.0.0.1:1?addr=127.0.0.1:2", "rediss+cluster://127.0.0.1:1",
		"redis://127.0.0.1:1?addr=127.0.0.1:2", "redis+sentinel://127.0.0.1:1/0?master_name=main&addr=127.0.0.1:2",
		"rediss+sentinel://127.0.0.1:1?master_name=main", "redis://127.0.0.1:1?master_name=main", "redis://[::1]:1/0",
	} {
		t.Run(url, func(t *testing.T) {
			s, err := redisstore.Open(url, redisstore.Options{Prefix: "larder"})
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	const password = "hunter2"
	for _, test := range []struct{ url, want string }{
		{"", "unknown scheme"},
		{"http://host", "unknown scheme"},
		{"redis+x://host", "unknown scheme"},
		{"user:hunter2@host:6379", "cannot be read"},
		{"redis://user:hunter2#x@host:6379", "cannot be read"},
		{"redis://user:hunter2/x@host:6379", "cannot be read"},
		{"redis://:12/hunter2@host:6379", "cannot be read"},
		{"redis://:12?hunter2@host:6379", "cannot be read"},
		{"redis://user:hunter2%zz@host:6379", "cannot be read"},
		{"redis://user:hunter2@host:port", "cannot be read"},
		{"redis://user:hunter2@host/zero", "no database number"},
		{"redis://user:hunter2@host/0/1", "no database number"},
		{"redis://user:hunter2@host?read_timeot=1s", "parameter 1 of the URL's 1 has a name that means nothing"},
		{"redis://user:hunter2@host?pool_size=5&&hunter2", "parameter 3 of the URL's 3"},
		{"redis://user:hunter2@host?pool_size=hunter2", "parameter pool_size has a value of another kind"},
		{"redis://host?password=hunter2", "here user:password@ stands before the host"},
		{"redis+cluster://host?password=hunter2&username=hunter2", "here user:password@ stands before the host"},
		{"redis://host?db=hunter2", "parameter db has"},
		{"redis+cluster://host?addr=hunter2", "parameter addr has"},
		{"redis+sentinel://host?master_name=m&password=a&hunter2", "parameter 3 of the URL's 3"},
		{"redis+sentinel://host?master_name=m&password=a&hunter2=b&c", "parameter 3 of the URL's 4"},
		{"redis+sentinel://host?master_name=m&password=hunter2#c", "cannot be read"},
		{"redis+sentinel://host?master_name=m&password=hunter2%", "cannot be read"},
		{"redis+sentinel://host?master_name=m&password=a;hunter2", "cannot be read"},
		{"redis+sentinel://host?master_name=m&password=hunter2@b", "cannot be read"},
		{"redis+sentinel://host?master_name=m&password=a&read_timeout=hunter2", "parameter read_timeout has"},
		{"redis+sentinel://:hunter2@host/hunter2?master_name=m", "no database number"},
		{"rediss://:a/hunter2@host:6379", "cannot be read"},
		{"rediss://:a@hunter2:b@host:hunter2", "cannot be read"},
		{"unix://:hunter2@/run/redis.sock?hunter2", "parameter 1"},
		{"hunter2", "unknown scheme"},
		{"hunter2://host", "unknown scheme"},
		{"redis://host:hunter2", "cannot be read"},
		{"redis://[hunter2]", "cannot be read"},
		{"redis://%hunter2", "cannot be read"},
		{"\x7fhunter2", "cannot be read"},
		{"redis://user:hunter2@host?read_timeout=3s", "ReadTimeout is 3s; set it to 250ms or less (50ms is a good value)"},
		{"redis://user:hunter2@host?max_retries=3", "MaxRetries is 3; set it to -1"},
		{"unix://", "unix socket path"},
		{"redis+cluster://user:hunter2@host/3", "drop the path"},
		{"redis+cluster://host?route_randomly=true", "replicas"},
		{"redis+sentinel://user:hunter2@host", "master_name"},
		{"redis+sentinel://host?master_name=m&route_by_latency=true", "replicas"},
	} {
		s, err := redisstore.Open(test.url, redisstore.Options{Prefix: "larder"})
		if err == nil {
			_ = s.Close()
			t.Errorf("Open(%q) = nil; want an error", test.url)
			continue
		}
		if text := err.Error(); !strings.Contains(text, test.want) || !strings.HasPrefix(text, "redisstore: ") {
			t.Errorf("Open(%q) = %q; want it to say %q", test.url, text, test.want)
		}
		if strings.Contains(err.Error(), password) || strings.Contains(err.Error(), password[:4]) {
			t.Errorf("Open(%q) = %q; it holds the password", test.url, err)
		}
	}
}

func TestNewRefusesClientsThatCouldHang(t *testing.T) {
	for want, change := range map[string]func(*redis.Options){
		"ReadTimeout is 3s; set it to 250ms or less (50ms is a good value)":        func(o *redis.Options) { o.ReadTimeout = 3 * time.Second },
		"ReadTimeout has no bound; set it to 250ms or less (50ms is a good value)": func(o *redis.Options) { o.ReadTimeout = -1 },
		"WriteTimeout has no bound": func(o *redis.Options) { o.WriteTimeout = -2 },
		"PoolTimeout is 1.25s":      func(o *redis.Options) { o.PoolTimeout = 0 },
		"DialTimeout is 5s; set it to 500ms or less (100ms is a good value)": func(o *redis.Options) { o.DialTimeout = 0 },
		"ContextTimeoutEnabled is false":                                     func(o *redis.Options) { o.ContextTimeoutEnabled = false },
		"MaxRetries is 3; set it to -1":                                      func(o *redis.Options) { o.MaxRetries = 0 },
		"DialerRetries is 5; set it to 1":                                    func(o *redis.Options) { o.DialerRetries = 0 },
		"ConnMaxIdleTime is 30m0s":                                           func(o *redis.Options) { o.TLSConfig = &tls.Config{} },
		"ConnMaxIdleTime is -1ns":                                            func(o *redis.Options) { o.TLSConfig, o.ConnMaxIdleTime = &tls.Config{}, -1 },
		"ConnMaxIdleTime is 2m0s":                                            func(o *redis.Options) { o.TLSConfig, o.ConnMaxIdleTime = &tls.Config{}, 2*time.Minute },
	} {
		o := tuned("127.0.0.1:1")
		change(o)
		client := redis.NewClient(o)
		if _, err := redisstore.New(client, redisstore.Options{}); err == nil || !strings.Contains(err.Error(), "\n"+want) || !strings.Contains(err.Error(), "redisstore.Tune") {
			t.Errorf("New = %v; want %q", err, want)
		}
		_ = client.Close()
	}
	all := redis.NewClient(&redis.Options{TLSConfig: &tls.Config{}})
	_, err := redisstore.New(all, redisstore.Options{})
	for _, option := range []string{"ReadTimeout", "WriteTimeout", "PoolTimeout", "DialTimeout", "ContextTimeoutEnabled", "MaxRetries", "DialerRetries", "ConnMaxIdleTime"} {
		if err == nil || !strings.Contains(err.Error(), "\n"+option) {
			t.Errorf("New = %v; want it to name %s, too", err, option)
		}
	}
	_ = all.Close()
	if _, err := redisstore.New(nil, redisstore.Options{}); err == nil {
		t.Error("New takes no client for a client")
	}
}

func TestNewChecksClustersAndRings(t *testing.T) {
	o := tuned("127.0.0.1:1")
	co := &redis.ClusterOptions{
		Addrs: []string{o.Addr}, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1, DialTimeout: o.DialTimeout,
		ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, PoolTimeout: o.PoolTimeout,
		MinRetryBackoff: -1, MaxRetryBackoff: -1,
	}
	lagging, unbounded, sleeping, encrypted := *co, *co, *co, *co
	lagging.RouteByLatency, unbounded.PoolTimeout = true, 0
	sleeping.MinRetryBackoff, sleeping.MaxRetryBackoff = 0, 0
	encrypted.TLSConfig = &tls.Config{}
	for want, o := range map[string]*redis.ClusterOptions{
		"": co, "replicas": &lagging, "PoolTimeout": &unbounded, "set both to -1": &sleeping,
		"ConnMaxIdleTime is 0s": &encrypted,
	} {
		client := redis.NewClusterClient(o)
		if _, err := redisstore.New(client, redisstore.Options{Prefix: "larder"}); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("New on a cluster = %v; want %q", err, want)
		}
		_ = client.Close()
	}
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": o.Addr}})
	if _, err := redisstore.New(ring, redisstore.Options{}); err == nil {
		t.Error("New takes a ring with go-redis' defaults")
	}
	_ = ring.Close()
}

func TestNothingIsDialledEarly(t *testing.T) {
	o := tuned("127.0.0.1:1")
	o.Dialer = func(context.Context, string, string) (net.Conn, error) {
		t.Error("New dials")
		return nil, errors.New("no")
	}
	client := redis.NewClient(o)
	defer client.Close()
	on(t, client, redisstore.Options{}).Sealed([]byte("secret"))
}

// Redis says nothing unasked unless the URL wants it to.
func TestOpenSpeaksRESP2(t *testing.T) {
	for parameter, want := range map[string]string{"": "hello\r\n$1\r\n2\r\n", "?protocol=3": "hello\r\n$1\r\n3\r\n"} {
		if got := strings.ToLower(greeting(t, parameter)); !strings.Contains(got, want) {
			t.Errorf("protocol %q: Redis is asked %q; want %q in it", parameter, got, want)
		}
	}
}

// greeting is what a Store that Open made with the parameter says first.
func greeting(t *testing.T, parameter string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := redisstore.Open("redis://"+l.Addr().String()+parameter, redisstore.Options{Prefix: "larder"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() { _, _, _ = s.Get(t.Context(), storetest.Key("k")) })
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	first := make([]byte, 100)
	n, err := conn.Read(first)
	if err != nil {
		t.Errorf("reading what Redis is asked: %v", err)
	}
	return string(first[:n])
}
