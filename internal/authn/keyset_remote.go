package authn

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sealmq/sealmq/internal/boundedfile"
)

const (
	fetchTimeout = 5 * time.Second
	fetchPause   = 30 * time.Second // least time between two fetches
	staleFactor  = 24               // times the refresh interval, after which old keys are no longer used
	maxCAFile    = 1 << 20          // bytes
)

// keysUnavailable means that nothing can be said about a token: the key set could not be fetched.
type keysUnavailable struct{ err error }

// Error implements error.
func (e *keysUnavailable) Error() string { return "the key set could not be fetched: " + e.err.Error() }

// Unwrap gives the reason.
func (e *keysUnavailable) Unwrap() error { return e.err }

// remoteKeys is a JWK Set behind an https address. It is fetched when a token needs it: the first time, when it is
// older than the refresh interval, and when a kid is unknown; never more often than every fetchPause, whatever clients
// send. While the address does not answer, the old keys are used for staleFactor intervals and then no more.
type remoteKeys struct {
	url     string
	refresh time.Duration
	client  *http.Client
	log     *slog.Logger

	mu      sync.Mutex // held during a fetch, so that there is one
	current *keySet
	fetched time.Time // when current was; before the first time endlessly long ago
	tried   time.Time
	failed  error // of the last attempt
}

func newRemoteKeys(o *JWTOptions, log *slog.Logger) (*remoteKeys, error) {
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		MaxIdleConns:    1, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
	}
	if o.CA != "" {
		pool, err := loadAuthorities(o.CA)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return &remoteKeys{url: o.URL, refresh: o.Refresh, log: log, client: &http.Client{
		Transport: transport, Timeout: fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects are not followed") },
	}}, nil
}

func loadAuthorities(path string) (*x509.CertPool, error) {
	pem, err := boundedfile.Read(path, maxCAFile)
	if err != nil {
		return nil, fmt.Errorf("authorities of the key set: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("authorities of the key set: no certificate in %s", path)
	}
	return pool, nil
}

// find implements keySource.
func (r *remoteKeys) find(ctx context.Context, kid string, alg Algorithm) (crypto.PublicKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.fetched) >= r.refresh {
		r.fetch(ctx)
	}
	if time.Since(r.fetched) >= staleFactor*r.refresh {
		return nil, &keysUnavailable{r.failed}
	}
	key, err := r.current.find(ctx, kid, alg)
	if err != nil && kid != "" && r.fetch(ctx) {
		key, err = r.current.find(ctx, kid, alg)
	}
	return key, err
}

// fetch asks the address unless it was asked a moment ago, and reports whether the keys are new. mu is held: logins
// that wait for the same answer wait at most fetchTimeout.
func (r *remoteKeys) fetch(ctx context.Context) bool {
	if time.Since(r.tried) < fetchPause {
		return false
	}
	r.tried = time.Now()
	s, err := r.get(ctx)
	r.failed = err
	if err != nil {
		r.log.Warn("key set not fetched", "url", r.url, "err", err)
		return false
	}
	r.current, r.fetched = s, time.Now()
	return true
}

func (r *remoteKeys) get(ctx context.Context) (*keySet, error) {
	// A client that hangs up must not make the others wait for the next attempt.
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // only read
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %s", quote(res.Status))
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	if err != nil {
		return nil, err
	}
	return parseKeySet(b)
}
