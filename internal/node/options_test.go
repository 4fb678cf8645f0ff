package node

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/privfile"
	"github.com/sealmq/sealmq/internal/transport"
	"github.com/sealmq/sealmq/protect"
)

// complete reports the fields of a struct, and of those in it, that have no value: a setting that was forgotten on its way.
func complete(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	if v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().Kind() == reflect.Struct {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct || v.Type() == reflect.TypeFor[netip.AddrPort]() || v.Type() == reflect.TypeFor[protect.Marks]() || v.Type() == reflect.TypeFor[slog.Logger]() {
		if v.IsZero() {
			t.Errorf("%s has no value", path)
		}
		return
	}
	for i := range v.NumField() {
		complete(t, v.Field(i), path+"."+v.Type().Field(i).Name)
	}
}

// TestLoginOptions: every setting of the login reaches the login, and a method without one is not offered.
func TestLoginOptions(t *testing.T) {
	marks, err := protect.NewMarks(nil)
	if err != nil {
		t.Fatal(err)
	}
	log, secret := slog.New(slog.DiscardHandler), []byte("secret")
	c := &config.Config{
		Auth: config.Auth{
			Anonymous: true, PSK: true, Order: []config.AuthMethod{config.AuthByJWT, config.AuthByPassword},
			Password:    config.AuthPassword{File: "passwd", MaxParallelHashes: 3, HashQueue: 4, Upgrade: true},
			SCRAM:       config.AuthSCRAM{File: "scram", Mechanisms: []config.Mechanism{"SCRAM-SHA-512"}, ChannelBinding: config.BindingRequired},
			JWT:         config.AuthJWT{Keys: "keys", KeysURL: "url", KeysCA: "ca", Refresh: time.Minute, Issuer: "iss", Audience: "aud", Algorithms: []config.JWTAlgorithm{"EdDSA"}, NameClaim: "sub"},
			Certificate: config.AuthCertificate{Identity: "{cn}", ClientID: "c-{cn}"},
			Credential:  config.AuthCredential{Keyring: "ring", Passphrase: "pass", Server: "plant", Forms: []config.CredentialForm{"p2"}, Identity: "{name}"},
			Lockout:     config.AuthLockout{Failures: 5, AddressFailures: 6, Within: 7 * time.Second, For: 8 * time.Second},
		},
		Listeners: []config.Listener{
			{Name: "both", AllowPlaintext: true, AllowClearPassword: true}, {Name: "plain", AllowPlaintext: true}, {Name: "clear", AllowClearPassword: true}, {Name: "neither"},
		},
	}
	got := loginOptions(c, secret, marks, log)
	complete(t, reflect.ValueOf(got), "Options")
	want := authn.Options{
		Anonymous: true, PSK: true, Order: []string{"jwt", "password"}, HashSlots: 3, HashQueue: 4, Secret: secret,
		Password:      &authn.PasswordOptions{File: "passwd", Upgrade: true},
		SCRAM:         &authn.SCRAMOptions{File: "scram", Mechanisms: []authn.Mechanism{authn.SCRAMSHA512}, Binding: authn.BindingRequired},
		JWT:           &authn.JWTOptions{File: "keys", URL: "url", CA: "ca", Refresh: time.Minute, Issuer: "iss", Audience: "aud", Algorithms: []authn.Algorithm{authn.EdDSA}, NameClaim: "sub"},
		Certificate:   &authn.CertificateOptions{Identity: "{cn}", ClientID: "c-{cn}"},
		Credential:    &authn.CredentialOptions{Keyring: "ring", Passphrase: "pass", Server: "plant", Forms: []string{"p2"}, Identity: "{name}"},
		Lockout:       authn.LockoutOptions{Failures: 5, AddressFailures: 6, Within: 7 * time.Second, For: 8 * time.Second},
		ClearPassword: map[string]bool{"both": true},
	}
	if got.Credential.Marks != marks || got.Log != log {
		t.Error("the marks or the log are others")
	}
	got.Credential.Marks, got.Log = nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	none := loginOptions(&config.Config{}, nil, nil, nil)
	if none.Password != nil || none.SCRAM != nil || none.JWT != nil || none.Certificate != nil || none.Credential != nil || none.PSK || none.Anonymous || len(none.ClearPassword) > 0 {
		t.Errorf("offered without a setting: %+v", none)
	}
}

// TestListenOptions: every setting of a listener reaches it; TLS 1.3 and a required client certificate are what there is when
// nothing else is said.
func TestListenOptions(t *testing.T) {
	bind := netip.MustParseAddrPort("192.0.2.1:8883")
	all := config.Listener{
		Name: "all", Bind: bind, Unix: "/s", AllowPlaintext: true, MaxClients: 1, MaxPacket: 2 << 20,
		TLS:        config.TLS{Cert: "crt", Key: "key", MinVersion: config.TLS12},
		ClientCert: config.ClientCert{Mode: config.RequestCert, CA: "ca", CRL: "crl"},
		PSK:        config.PSK{File: "psk", AllowNoForwardSecrecy: true},
		WebSocket:  config.WebSocket{Path: "/mqtt", Origins: []string{"https://a.example"}},
	}
	got := listenOptions(&all)
	complete(t, reflect.ValueOf(got), "Options")
	want := transport.Options{
		Address: bind, Unix: "/s", AllowPlaintext: true,
		Certificate: &transport.Certificate{CertFile: "crt", KeyFile: "key", MinVersion: tls.VersionTLS12, Clients: transport.RequestClientCert, CAFile: "ca", CRLFile: "crl"},
		PSK:         &transport.PSK{File: "psk", AllowNoForwardSecrecy: true},
		WebSocket:   &transport.WebSocket{Path: "/mqtt", Origins: []string{"https://a.example"}, MaxMessage: 2 << 20},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	least := listenOptions(&config.Listener{
		Bind: bind, TLS: config.TLS{Cert: "crt", Key: "key"}, ClientCert: config.ClientCert{CA: "ca"}, WebSocket: config.WebSocket{Path: "/"}, MaxPacket: 1,
	})
	if c := least.Certificate; c.MinVersion != tls.VersionTLS13 || c.Clients != transport.RequireClientCert || least.PSK != nil || least.AllowPlaintext || least.WebSocket.MaxMessage != leastMessage {
		t.Errorf("%+v, %+v", least, c)
	}
	plain := listenOptions(&config.Listener{Bind: bind})
	if plain.Certificate != nil || plain.PSK != nil || plain.WebSocket != nil || plain.AllowPlaintext {
		t.Errorf("%+v", plain)
	}
	open := listenOptions(&config.Listener{TLS: config.TLS{Cert: "crt", Key: "key"}})
	if open.Certificate.Clients != transport.NoClientCert {
		t.Errorf("%+v", open.Certificate)
	}
}

// TestLoginSecret: it stays in the data folder, of its owner alone, and one that was cut or exposed is not used.
func TestLoginSecret(t *testing.T) {
	c := &config.Config{Storage: config.Storage{Engine: config.EngineDisk}, Node: config.Node{DataDir: filepath.Join(t.TempDir(), "data")}}
	first, err := loginSecret(c)
	if err != nil || len(first) != secretSize {
		t.Fatal(first, err)
	}
	if again, err := loginSecret(c); err != nil || !bytes.Equal(again, first) {
		t.Errorf("after a restart it is another: %v", err)
	}
	path := filepath.Join(c.Node.DataDir, secretFile)
	for _, n := range []int{0, secretSize - 1, secretSize + 1} {
		if err := privfile.Write(path, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if s, err := loginSecret(c); err == nil {
			t.Errorf("%d bytes are used as %d", n, len(s))
		}
	}
	if err := errors.Join(privfile.Write(path, first), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := loginSecret(c); !errors.Is(err, privfile.ErrExposed) {
		t.Errorf("one that others can read: %v", err)
	}
	c.Node.DataDir = filepath.Join(path, "below a file")
	if _, err := loginSecret(c); err == nil {
		t.Error("without a folder")
	}
	c.Storage.Engine = config.EngineMemory
	one, err1 := loginSecret(c)
	two, err2 := loginSecret(c)
	if err := errors.Join(err1, err2); err != nil || bytes.Equal(one, two) || len(one) != secretSize {
		t.Errorf("in memory: %v", err)
	}
}
