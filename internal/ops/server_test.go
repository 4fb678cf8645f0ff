package ops

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sealmq/sealmq/internal/observe"
	"github.com/sealmq/sealmq/internal/pkitest"
)

type process struct {
	started atomic.Bool
	reasons atomic.Pointer[[]string]
}

func (p *process) Started() bool { return p.started.Load() }

func (p *process) Unready() []string {
	if r := p.reasons.Load(); r != nil {
		return *r
	}
	return nil
}

func (p *process) Metrics(m *observe.Metrics) { m.Single("sealmq_x", observe.Gauge, "X.", 1) }

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func start(t *testing.T, o Options, p Process) *Server {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	s, err := Listen(t.Context(), o, p)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// get asks with headers given as names and values in turn; "Host" sets the host.
func get(t *testing.T, c *http.Client, method, url string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // test
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestHealth(t *testing.T) {
	p := new(process)
	s := start(t, Options{Address: loopback, Metrics: "/metrics", Health: true}, p)
	check := func(path string, status int, body string) {
		t.Helper()
		if got, text := get(t, http.DefaultClient, "GET", s.URL()+path); got != status || text != body {
			t.Errorf("%s: %d %q", path, got, text)
		}
	}
	check("/startupz", 503, "starting\n")
	p.started.Store(true)
	check("/startupz", 200, "started\n")
	check("/healthz", 200, "alive\n")
	check("/readyz", 200, "ready\n")
	p.reasons.Store(&[]string{"the disk is full", "the clock is wrong"})
	check("/readyz", 503, "not ready\nthe disk is full\nthe clock is wrong\n")
	check("/healthz", 200, "alive\n")
	check("/metrics/", 404, "nothing here\n")
	check("/", 404, "nothing here\n")
	if status, _ := get(t, http.DefaultClient, "POST", s.URL()+"/metrics"); status != 405 {
		t.Errorf("POST: %d", status)
	}
}

// TestRebinding: a page that reaches the port through a name of its own reads nothing.
func TestRebinding(t *testing.T) {
	s := start(t, Options{Address: loopback, Metrics: "/metrics", Health: true}, new(process))
	for host, want := range map[string]int{"attacker.example": 421, "attacker.example:9234": 421, "localhost:9234": 200, "127.0.0.1": 200, "[::1]:80": 200} {
		if status, body := get(t, http.DefaultClient, "GET", s.URL()+"/metrics", "Host", host); status != want || (want != 200) == strings.Contains(body, "sealmq_x") {
			t.Errorf("%s: %d %q", host, status, body)
		}
	}
}

func TestWithoutHealthAndMetrics(t *testing.T) {
	s := start(t, Options{Address: loopback}, new(process))
	for _, path := range []string{"/healthz", "/readyz", "/startupz", "/metrics", "/"} {
		if status, _ := get(t, http.DefaultClient, "GET", s.URL()+path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestToken(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{Address: loopback, Metrics: "/m", Health: true, Token: file}, new(process))
	for given, want := range map[string]int{"": 401, "Bearer 0123456789abcdeX": 401, "Bearer ": 401, "Bearer 0123456789abcdef": 200} {
		status, body := get(t, http.DefaultClient, "GET", s.URL()+"/m", "Authorization", given)
		if status != want || (want == 200) != strings.Contains(body, "sealmq_x") {
			t.Errorf("%q: %d %s", given, status, body)
		}
	}
	if status, _ := get(t, http.DefaultClient, "GET", s.URL()+"/healthz"); status != 200 {
		t.Errorf("health asks for the token: %d", status)
	}
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pki := pkitest.New(t)
	pki.Server()
	cert, key := filepath.Join(pki.Dir, "server.crt"), filepath.Join(pki.Dir, "server.key")
	everywhere := netip.MustParseAddrPort("0.0.0.0:0")
	for name, c := range map[string]struct {
		o    Options
		want error // nil: any
	}{
		"beyond loopback in the clear":      {Options{Address: everywhere, Health: true}, ErrNotLoopback},
		"metrics beyond loopback, no token": {Options{Address: everywhere, Metrics: "/metrics", CertFile: cert, KeyFile: key}, ErrNotLoopback},
		"no token file":                     {Options{Address: loopback, Token: filepath.Join(dir, "absent")}, os.ErrNotExist},
		"short token":                       {Options{Address: loopback, Token: write("short", "abc", 0o600)}, nil},
		"token for everybody":               {Options{Address: loopback, Token: write("open", "0123456789abcdef", 0o644)}, nil},
		"key is no key":                     {Options{Address: loopback, CertFile: cert, KeyFile: write("bad.key", "x", 0o600)}, nil},
	} {
		o := c.o
		o.Log = slog.New(slog.DiscardHandler)
		s, err := Listen(t.Context(), o, new(process))
		if err == nil {
			_ = s.Close()
		}
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTLS(t *testing.T) {
	pki := pkitest.New(t)
	pki.Server()
	s := start(t, Options{
		Address: loopback, Health: true, CertFile: filepath.Join(pki.Dir, "server.crt"), KeyFile: filepath.Join(pki.Dir, "server.key"),
	}, new(process))
	roots := x509.NewCertPool()
	roots.AddCert(pki.Cert)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	if status, body := get(t, client, "GET", s.URL()+"/healthz"); status != 200 || body != "alive\n" {
		t.Errorf("%d %q", status, body)
	}
}
