package redisstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// certify writes a certificate for 127.0.0.1 and redis.internal and its key into the directory, and returns what trusts it.
func certify(t *testing.T, dir string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames: []string{"redis.internal"},
		IsCA:     true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	return &tls.Config{RootCAs: roots}
}

// encrypted is a Redis that is reached over TLS, and in the clear by its administrator.
type encrypted struct {
	*peer
	url, addr    string // with TLS
	dir, tlsPort string
	trust        *tls.Config
	restart      func()
}

// startEncrypted starts a Redis with TLS on a port of its own; more is added to its configuration, and args to its command.
func startEncrypted(t *testing.T, more string, args ...string) *encrypted {
	t.Helper()
	dir := t.TempDir()
	s := &encrypted{trust: certify(t, dir)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.url = "rediss://" + s.addr
	_ = l.Close()
	_, s.tlsPort, _ = net.SplitHostPort(s.addr)
	config := fmt.Sprintf("tls-port %s\ntls-cert-file %s/cert.pem\ntls-key-file %s/key.pem\ntls-ca-cert-file %s/cert.pem\n%s",
		s.tlsPort, dir, dir, dir, more)
	s.dir = dir
	s.peer = start(t, config, args...)
	s.restart = func() { s.kill(); s.peer = start(t, config, args...) }
	return s
}

// noClients are the lines of a Redis with TLS that asks its clients for no certificates.
const noClients = "save \"\"\ntls-auth-clients no"

// hangUp closes every client's connection but the administrator's, as a time-out or a balancer does.
func (s *encrypted) hangUp(t *testing.T) {
	t.Helper()
	if err := s.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err)
	}
}

// own returns a store on a client of the caller's that speaks TLS.
func (s *encrypted) own(t *testing.T) *redisstore.Store {
	o := tuned(s.addr)
	o.TLSConfig, o.ConnMaxIdleTime, o.PoolSize = s.trust, time.Minute, poolSize
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	return on(t, client, redisstore.Options{})
}

func (s *encrypted) opened(t *testing.T) *redisstore.Store {
	far, err := redisstore.Open(s.url+patient+"&pool_size=8",
		redisstore.Options{Prefix: "larder", TLS: s.trust})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = far.Close() })
	return far
}

const poolSize = 8

// patient are the longest time-outs that are allowed.
const patient = "?read_timeout=250ms&write_timeout=250ms&pool_timeout=250ms&dial_timeout=500ms"

// rested returns a key that is kept, and leaves a pool as large as it gets: so many connections are then at rest.
func rested(t *testing.T, s *redisstore.Store) keying.Key {
	t.Helper()
	for range 4 {
		together(poolSize, func(i int) { _ = s.Delete(t.Context(), storetest.Key(fmt.Sprint(i))) })
	}
	return keep(t, s, "k")
}

// together calls f so many times at once.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// Whoever closes connections that are at rest costs no read and no purge, encrypted or not; and a Redis that was started
// anew is read at once.
func TestConnectionsThatWereClosedAtRestCostNothing(t *testing.T) {
	server := startEncrypted(t, noClients)
	for name, open := range map[string]func(*testing.T) *redisstore.Store{"opened": server.opened, "own": server.own} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			for round := range 5 {
				key := rested(t, s)
				server.hangUp(t)
				faults := make([]error, 64)
				together(len(faults), func(i int) {
					if _, ok, err := s.Get(t.Context(), key); err != nil || !ok {
						faults[i] = fmt.Errorf("a miss: %w", err)
					}
				})
				report(t, fmt.Sprint("round ", round, ": Get"), faults)
				rested(t, s)
				server.hangUp(t)
				faults = make([]error, 16)
				together(len(faults), func(i int) {
					faults[i] = s.Append(t.Context(), store.Record{Labels: labels(fmt.Sprint(i))})
				})
				report(t, fmt.Sprint("round ", round, ": Append"), faults)
			}
			key := rested(t, s)
			server.restart()
			if _, _, err := s.Get(t.Context(), key); err != nil {
				t.Errorf("the first Get of a Redis that was started anew: %v", err)
			}
			if err := s.Set(t.Context(), key, stamped(s, "k"), time.Minute); err != nil {
				t.Errorf("the first Set of a Redis that was started anew: %v", err)
			}
		})
	}
}

func report(t *testing.T, what string, faults []error) {
	t.Helper()
	n, last := 0, error(nil)
	for _, err := range faults {
		if err != nil {
			n, last = n+1, err
		}
	}
	if n > 0 {
		t.Errorf("%s: %d of %d failed: %v", what, n, len(faults), last)
	}
}

// A server that hangs up on whoever has just come is no better for being dialled again.
func TestHungUpAtOnceIsNotDialledForLong(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dials := make(chan int)
	go func() {
		n := 0
		for {
			conn, err := l.Accept()
			if err != nil {
				dials <- n
				return
			}
			n++
			_ = conn.Close()
		}
	}()
	s := open(t, l.Addr().String())
	asked := wantOpen(t, func() error { _, _, err := s.Get(t.Context(), storetest.Key("k")); return err })
	_ = l.Close()
	if n := <-dials; n > 4*asked+8 { // go-redis dials twice for a pipeline; and there are the probe and a look at the entry
		t.Errorf("%d reads dialled %d times; want four for each at most", asked, n)
	}
}

func TestTLSIsTheCallersOwn(t *testing.T) {
	server := startEncrypted(t, noClients)
	s, err := redisstore.Open(server.url+patient, redisstore.Options{Prefix: "larder"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	eventually(t, "a certificate that nobody trusts is refused", func() bool {
		_, _, err := s.Get(t.Context(), storetest.Key("k"))
		return err != nil && strings.Contains(err.Error(), "certificate")
	})
	if _, err := redisstore.New(dial(t, server.addr), redisstore.Options{Prefix: "larder", TLS: server.trust}); err == nil || !strings.Contains(err.Error(), "TLSConfig") {
		t.Errorf("New with TLS = %v; want an error that names TLSConfig", err)
	}
}

// A TLS configuration that would have no effect is refused, with the remedy: it is never ignored.
func TestTLSIsNeverIgnored(t *testing.T) {
	for url, want := range map[string]string{
		"redis://127.0.0.1:1": "write rediss:// ", "redis+cluster://127.0.0.1:1": "write rediss+cluster:// ",
		"redis://127.0.0.1:1?addr=127.0.0.1:2": "write rediss+cluster:// ", "redis://127.0.0.1:1?master_name=main": "write rediss+sentinel:// ",
		"redis+sentinel://127.0.0.1:1?master_name=main": "write rediss+sentinel:// ", "unix:///run/redis.sock": "a Unix socket has no TLS",
	} {
		s, err := redisstore.Open(url, redisstore.Options{Prefix: "larder", TLS: &tls.Config{ServerName: "redis.internal"}})
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), "redisstore: Options.TLS is set") || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q) with TLS = %v; want an error that says %q", url, err, want)
		}
	}
}

// Roots, a client's certificate and a ServerName are those of Options.
func TestTLSOfOptionsIsUsed(t *testing.T) {
	server := startEncrypted(t, "save \"\"\ntls-auth-clients yes")
	certificate, err := tls.LoadX509KeyPair(filepath.Join(server.dir, "cert.pem"), filepath.Join(server.dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots, known := server.trust.RootCAs, []tls.Certificate{certificate}
	for name, test := range map[string]struct {
		config *tls.Config
		want   string // of the error; "": it works
	}{
		"all that is needed":    {&tls.Config{RootCAs: roots, Certificates: known}, ""},
		"another name of it":    {&tls.Config{RootCAs: roots, Certificates: known, ServerName: "redis.internal"}, ""},
		"the name of another":   {&tls.Config{RootCAs: roots, Certificates: known, ServerName: "redis.example"}, "redis.example"},
		"no client certificate": {&tls.Config{RootCAs: roots}, "certificate"},
		"no roots":              {&tls.Config{Certificates: known}, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := redisstore.Open(server.url+patient, redisstore.Options{Prefix: "larder", TLS: test.config})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if test.want == "" {
				keep(t, s, "k")
				return
			}
			eventually(t, "it is refused: "+test.want, func() bool {
				_, _, err := s.Get(t.Context(), storetest.Key("k"))
				if err == nil {
					t.Fatal("it is accepted")
				}
				return strings.Contains(err.Error(), test.want)
			})
		})
	}
}

// On a cluster and behind Sentinel all connections use the TLS of Options: those to each node, and those to Sentinel.
func TestTLSOfOptionsIsUsedByAllKinds(t *testing.T) {
	cluster := startEncrypted(t, noClients+"\ncluster-enabled yes\ntls-cluster yes")
	if err := cluster.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	master := startEncrypted(t, noClients)
	sentinel := startEncrypted(t, fmt.Sprintf("tls-auth-clients no\ntls-replication yes\nsentinel monitor main 127.0.0.1 %s 1", master.tlsPort), "--sentinel")
	roots := x509.NewCertPool()
	for _, s := range []*encrypted{master, sentinel} {
		text, err := os.ReadFile(filepath.Join(s.dir, "cert.pem"))
		if err != nil {
			t.Fatal(err)
		}
		roots.AppendCertsFromPEM(text)
	}
	for url, trust := range map[string]*tls.Config{
		"rediss+cluster://" + cluster.addr + patient:                                cluster.trust,
		"rediss+sentinel://" + sentinel.addr + "/0" + patient + "&master_name=main": {RootCAs: roots},
	} {
		t.Run(url, func(t *testing.T) {
			s, err := redisstore.Open(url, redisstore.Options{Prefix: "larder", TLS: trust})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			key := keep(t, s, "k")
			purge(t, s, "one")
			wantState(t, s, key, store.Gone)
		})
	}
}
