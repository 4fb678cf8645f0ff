package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
	"github.com/sealmq/sealmq/internal/pkitest"
)

func serve(t *testing.T, dir, text string) *node.Node {
	t.Helper()
	file := filepath.Join(dir, "sealmq.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	plan, err := config.FromFlags(config.Flags{Config: file})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), plan, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return n
}

const slow = 30 * time.Second

func TestOpenBroker(t *testing.T) {
	n := serve(t, t.TempDir(), "version: 1\nlisteners: [{name: l, bind: \"127.0.0.1:0\"}]\nauth: {anonymous: true}\nstorage: {engine: memory}\n"+
		"acl: {subscribe: {allow: [\"#\"]}}\n")
	r, err := Run(t.Context(), Options{Target: n.URLs()[0], Timeout: slow})
	if err != nil {
		t.Fatal(err)
	}
	e := &r.Endpoints[0]
	if !e.Reachable || !e.Loopback || !e.Anonymous || e.TLS != nil || e.AsksLogin || e.Connections > mostConnections {
		t.Fatalf("%+v", e)
	}
	for _, v := range e.Versions {
		if !v.Accepted {
			t.Errorf("%s: %s", v.Name, v.Answer)
		}
	}
	granted := map[string]bool{}
	for _, g := range e.Granted {
		granted[g.Filter] = g.Granted
	}
	if !granted["#"] || granted["$SYS/#"] || len(granted) != len(filters) {
		t.Errorf("%+v", e.Granted)
	}
	if l := e.Limits; l == nil || l.MaximumPacketSize != 256<<10 || l.ReceiveMaximum != 1000 || l.TopicAliasMaximum != 64 || !l.Shared {
		t.Errorf("%+v", l)
	}
	// Nothing of it is left.
	if s := n.Broker().Snapshot(); s.Subscriptions != 0 || s.Retained > 200 || s.PublishReceived != [3]int64{} {
		t.Errorf("left behind: %+v", s)
	}
}

func TestClosedBroker(t *testing.T) {
	pki := pkitest.New(t)
	pki.Server()
	if err := os.WriteFile(filepath.Join(pki.Dir, "passwd"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n := serve(t, pki.Dir, "version: 1\nlisteners:\n  - {name: l, bind: \"127.0.0.1:0\", tls: {cert: server.crt, key: server.key, min_version: \"1.2\"}, client_cert: {mode: request, ca: ca.crt}}\n"+
		"auth: {password: {file: passwd}}\nstorage: {engine: memory}\n")
	roots := x509.NewCertPool()
	roots.AddCert(pki.Cert)
	for _, trusted := range []bool{true, false} {
		o := Options{Target: n.URLs()[0], Timeout: slow, Roots: x509.NewCertPool(), Username: "u", Password: []byte("not that")}
		if trusted {
			o.Roots = roots
		}
		r, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		e := &r.Endpoints[0]
		if !e.Reachable || e.Anonymous || !e.AsksLogin || e.LoggedIn || e.TLS == nil || len(e.Granted) != 0 || e.Limits != nil {
			t.Fatalf("%+v", e)
		}
		if !slices.Equal(e.TLS.Versions, []string{"1.2", "1.3"}) || !e.TLS.ClientCertificate || e.TLS.Certificate.Verified != trusted {
			t.Errorf("%+v", e.TLS)
		}
		if len(e.TLS.Certificate.Names) != 2 || e.TLS.Certificate.Problem == "" == !trusted {
			t.Errorf("%+v", e.TLS.Certificate)
		}
	}
}

// TestLoginStaysHome: a login is not sent to a server whose certificate is not trusted beyond this machine.
func TestLoginStaysHome(t *testing.T) {
	l := look{o: &Options{Username: "u"}, e: endpoint{secure: true}, result: Endpoint{TLS: &TLS{}}}
	if l.canLogIn() || !l.result.LoginClear {
		t.Error("it would be sent")
	}
	l.result.TLS.Certificate.Verified = true
	if !l.canLogIn() {
		t.Error("it would not be sent over verified TLS")
	}
	l = look{o: &Options{Username: "u"}}
	if l.canLogIn() {
		t.Error("it would be sent in the clear")
	}
}

func TestSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // hangs up at once
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	r, err := Run(t.Context(), Options{Target: l.Addr().String(), Timeout: slow})
	if err != nil || r.Endpoints[0].Reachable || r.Endpoints[0].Anonymous {
		t.Errorf("%+v %v", r, err)
	}
	address := l.Addr().String()
	_ = l.Close()
	if r, err = Run(t.Context(), Options{Target: address, Timeout: slow}); err != nil || len(r.Endpoints) != 2 || !strings.Contains(r.Endpoints[0].Error, "refused") {
		t.Errorf("%+v %v", r, err)
	}
}

func TestTargets(t *testing.T) {
	for target, want := range map[string]int{
		"broker.example": 2, "broker.example:1": 2, "mqtt://b": 1, "mqtts://b:1": 1, "::1": 2, "[::1]:1883": 2, "ws://b": 0, "": 0,
		"a b": 0, "b:x": 0, "mqtt://u:p@b": 0, ":1883": 0, "mqtt://": 0,
	} {
		list, err := endpoints(target)
		if len(list) != want || (err != nil) != (want == 0) || err != nil && !errors.Is(err, ErrTarget) {
			t.Errorf("%q: %v %v", target, list, err)
		}
	}
}
