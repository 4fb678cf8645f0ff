// Package ops is the operations port: metrics in the text format of Prometheus, and health, over HTTP. It is bound to
// loopback unless it has a certificate, it only reads, and it does not know the broker: it declares what it needs.
package ops

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/observe"
	"github.com/sealmq/sealmq/internal/privfile"
)

// Process is what is looked at. All methods may be called by several goroutines at once, from before the start is
// complete until after the end, and must not block for long.
type Process interface {
	// Started reports whether the start is complete; it stays so.
	Started() bool
	// Unready gives the reasons why the process should get no work; none when it should.
	Unready() []string
	// Metrics writes the metrics.
	Metrics(m *observe.Metrics)
}

// Options describe the port.
type Options struct {
	Address  netip.AddrPort
	Metrics  string // path
	Health   bool
	Token    string // file with the bearer token for Metrics; "": none
	CertFile string // PEM; "": plain HTTP, on loopback only
	KeyFile  string
	Log      *slog.Logger
}

// Bounds of one request.
const (
	maxHeader   = 16 << 10 // bytes
	maxToken    = 1024     // bytes
	minToken    = 16       // bytes: shorter ones can be guessed
	readTimeout = 10 * time.Second
	idleTimeout = 2 * time.Minute
	maxClients  = 64 // connections at one time
)

// ErrNotLoopback says that a port without TLS, or metrics without a token, would be reachable from other machines.
var ErrNotLoopback = errors.New("the operations port is reachable from other machines")

// Server answers at the port.
type Server struct {
	http   *http.Server
	inner  net.Listener
	secure bool
	token  []byte // SHA-256; nil without
	p      Process
}

// Listen opens the port; Serve answers. Every file is read and checked first.
func Listen(ctx context.Context, o Options, p Process) (*Server, error) {
	s := &Server{p: p, secure: o.CertFile != ""}
	if err := s.loadToken(o.Token); err != nil {
		return nil, err
	}
	if !o.Address.Addr().Unmap().IsLoopback() && (!s.secure || s.token == nil && o.Metrics != "") {
		return nil, fmt.Errorf("listen on %v: %w: it needs a certificate, and its metrics a token", o.Address, ErrNotLoopback)
	}
	var config *tls.Config
	if s.secure {
		key, err := privfile.Read(o.KeyFile, 1<<20)
		if err != nil {
			return nil, fmt.Errorf("key of the operations port: %w", err)
		}
		clear(key)
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("certificate of the operations port: %w", err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.Address.String())
	if err != nil {
		return nil, err
	}
	s.inner = limit(l, maxClients)
	if config != nil {
		s.inner = tls.NewListener(s.inner, config)
	}
	s.http = &http.Server{
		Handler: s.handler(&o), ReadTimeout: readTimeout, WriteTimeout: readTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

func (s *Server) loadToken(file string) error {
	if file == "" {
		return nil
	}
	b, err := privfile.Read(file, maxToken)
	if err != nil {
		return fmt.Errorf("token of the operations port: %w", err)
	}
	defer clear(b)
	token := strings.TrimSpace(string(b))
	if len(token) < minToken || strings.ContainsAny(token, " \t\r\n") {
		return fmt.Errorf("token of the operations port: %s must hold one line of at least %d characters without blanks", file, minToken)
	}
	sum := sha256.Sum256([]byte(token))
	s.token = sum[:]
	return nil
}

// Addr is the bound address.
func (s *Server) Addr() net.Addr { return s.inner.Addr() }

// URL is how the port is named, without a path.
func (s *Server) URL() string {
	if s.secure {
		return "https://" + s.Addr().String()
	}
	return "http://" + s.Addr().String()
}

// Serve answers until Close, and then returns nil.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.inner); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends the port and requests under way.
func (s *Server) Close() error { return s.http.Close() }

func (s *Server) handler(o *Options) http.Handler {
	return s.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			text(w, http.StatusMethodNotAllowed, "this port only answers questions\n")
		case path == o.Metrics && path != "":
			s.metrics(w, r)
		case o.Health && path == "/healthz":
			text(w, http.StatusOK, "alive\n")
		case o.Health && path == "/readyz":
			s.ready(w)
		case o.Health && path == "/startupz" && s.p.Started():
			text(w, http.StatusOK, "started\n")
		case o.Health && path == "/startupz":
			text(w, http.StatusServiceUnavailable, "starting\n")
		default:
			text(w, http.StatusNotFound, "nothing here\n")
		}
	}))
}

// guard turns away pages of a browser that found the port through a name of their own (DNS rebinding): on plain HTTP the
// host must be an address or localhost.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		_, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if !s.secure && err != nil && host != "localhost" {
			text(w, http.StatusMisdirectedRequest, "ask for an address or localhost\n")
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	if s.token != nil {
		given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		sum := sha256.Sum256([]byte(given))
		if subtle.ConstantTimeCompare(sum[:], s.token) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="sealmq"`)
			text(w, http.StatusUnauthorized, "the metrics need a token\n")
			return
		}
	}
	var m observe.Metrics
	s.p.Metrics(&m)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(m.String()))
}

func (s *Server) ready(w http.ResponseWriter) {
	if reasons := s.p.Unready(); len(reasons) > 0 {
		text(w, http.StatusServiceUnavailable, "not ready\n"+strings.Join(reasons, "\n")+"\n")
		return
	}
	text(w, http.StatusOK, "ready\n")
}

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}
