package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/psktls"
)

// TestHandshakeErrorsInWords: each way in which a handshake ends is told apart, by what was seen of it.
func TestHandshakeErrorsInWords(t *testing.T) {
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("shutting down"))
	reset := &net.OpError{Op: "read", Err: errors.New("connection reset")}
	own := &x509.Certificate{Issuer: pkix.Name{CommonName: "Plant CA"}, DNSNames: []string{"plant.example"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 7)}}
	unseen, seen, old := &offer{minimum: tls.VersionTLS12}, &offer{minimum: tls.VersionTLS12, own: own}, &offer{minimum: tls.VersionTLS13}
	seen.take(&tls.ClientHelloInfo{ServerName: "other.example", SupportedVersions: []uint16{tls.VersionTLS13, tls.VersionTLS12}})
	old.take(&tls.ClientHelloInfo{SupportedVersions: []uint16{tls.VersionTLS11, tls.VersionTLS10}})
	const trust = `a client that trusts "CN=Plant CA" and connects to one of plant.example, 192.0.2.7`
	for name, c := range map[string]struct {
		ctx   context.Context
		err   error
		hello *offer
		want  Check
		words string // what was expected | what was found
	}{
		"own refusal":             {t.Context(), refuse(CheckRevocation, "a", "b"), seen, CheckRevocation, "a|b"},
		"own refusal, too late":   {ended, refuse(CheckRevocation, "a", "b"), seen, CheckRevocation, "a|b"},
		"too late":                {ended, reset, seen, CheckTimeout, "a complete handshake in time|a client that stopped after its ClientHello"},
		"too late with nothing":   {ended, reset, unseen, CheckTimeout, "a complete handshake in time|a client that sent no complete ClientHello"},
		"deadline":                {t.Context(), os.ErrDeadlineExceeded, nil, CheckTimeout, "a complete handshake in time|"},
		"key":                     {t.Context(), &psktls.Error{Check: "x", Expected: "a", Found: "b"}, nil, "x", "a|b"},
		"no TLS":                  {t.Context(), tls.RecordHeaderError{RecordHeader: [5]byte{0x10, 12}}, unseen, CheckRecord, "TLS|an MQTT CONNECT without TLS"},
		"alert":                   {t.Context(), &net.OpError{Op: "remote error", Err: errors.New("bad certificate")}, seen, CheckPeerAlert, trust + `|bad certificate from one that connected to "other.example"`},
		"alert, nothing known":    {t.Context(), &net.OpError{Op: "remote error", Err: errors.New("x")}, nil, CheckPeerAlert, "|x"},
		"version":                 {t.Context(), errors.New("x"), old, CheckVersion, "TLS 1.3|an offer of TLS 1.1, TLS 1.0"},
		"left":                    {t.Context(), io.EOF, seen, CheckPeerLeft, trust + `|the end of the connection from one that connected to "other.example"`},
		"reset":                   {t.Context(), reset, seen, CheckPeerLeft, trust + `|the end of the connection from one that connected to "other.example"`},
		"left at once":            {t.Context(), io.EOF, unseen, CheckTransport, "|a client that sent no complete ClientHello"},
		"reset at once":           {t.Context(), reset, nil, CheckTransport, "|"},
		"closed here":             {t.Context(), net.ErrClosed, nil, CheckTransport, "|"},
		"another after the hello": {t.Context(), errors.New("x"), seen, CheckHandshake, "|"},
		"another before it":       {t.Context(), errors.New("x"), unseen, CheckHandshake, "|"},
	} {
		var got *Error
		if err := handshakeError(c.ctx, c.err, c.hello); !errors.As(err, &got) || got.Check != c.want || got.Expected+"|"+got.Found != c.words {
			t.Errorf("%s: %v, want %s %s", name, err, c.want, c.words)
		}
	}
	if got := old.asked(); got != " from one that connected to an address" {
		t.Errorf("without a name:%s", got)
	}
	if got := unseen.asked() + unseen.trust(); got != "" {
		t.Errorf("before a hello:%s", got)
	}
	if got := unseen.want(); got != "TLS 1.2 or TLS 1.3" {
		t.Errorf("wants %s", got)
	}
	many := &offer{minimum: tls.VersionTLS12}
	many.take(&tls.ClientHelloInfo{SupportedVersions: make([]uint16, 1000)})
	if len(many.versions) != 8 || many.version {
		t.Errorf("%d versions are kept, allowed %v", len(many.versions), many.version)
	}
	for v, want := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true, tls.VersionTLS13 + 1: false} {
		o := &offer{minimum: tls.VersionTLS12}
		if o.take(&tls.ClientHelloInfo{SupportedVersions: []uint16{v}}); o.version != want {
			t.Errorf("%#x is allowed: %v", v, o.version)
		}
	}
	for b, want := range map[string]string{
		"\x10\x0c\x00\x04M": "an MQTT CONNECT without TLS", "\x16\x03\x01\x02\x00": "the bytes 1603010200",
		"GET /": "HTTP without TLS", "POST ": "HTTP without TLS", "GETX ": "the bytes 4745545820",
	} {
		if got := firstBytes([5]byte([]byte(b))); got != want {
			t.Errorf("%q: %s, want %s", b, got, want)
		}
	}
}

// TestErrorsInWords: an error has what it knows and no more, shows what the peer chose bounded and escaped, is its Check
// and no other, and is nobody's refusal when the peer only left.
func TestErrorsInWords(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		e           Error
		text, found string
	}{
		{Error{Check: CheckFile}, "file", ""},
		{Error{Check: CheckFile, Expected: "a"}, "file: expected a", ""},
		{Error{Check: CheckFile, Found: "b"}, "file: found b", "b"},
		{Error{Check: CheckFile, Err: cause}, "file: cause", "cause"},
		{Error{Check: CheckFile, Found: "b", Err: cause}, "file: found b, cause", "b"},
		{Error{Check: CheckFile, Expected: "a", Found: "b", Err: cause}, "file: expected a, found b, cause", "b"},
		{Error{Check: CheckFile, Expected: "a", Err: cause}, "file: expected a, cause", "cause"},
	} {
		check, expected, found := c.e.Failed()
		if c.e.Error() != c.text || check != "file" || expected != c.e.Expected || found != c.found {
			t.Errorf("%q, found %q; want %q, found %q", c.e.Error(), found, c.text, c.found)
		}
		if !errors.Is(&c.e, CheckFile) || errors.Is(&c.e, CheckPath) || errors.Is(&c.e, io.EOF) || errors.Is(&c.e, cause) != (c.e.Err != nil) {
			t.Errorf("%v is of another kind", &c.e)
		}
	}
	if check, expected, found := (&Error{Check: CheckTransport, Expected: "a", Found: "b"}).Failed(); check+expected+found != "" {
		t.Errorf("a peer that left was refused by %s", check)
	}
	for in, want := range map[string]string{
		"a\nb": `"a\nb"`, strings.Repeat("é", 33): "\"" + strings.Repeat(`\u00e9`, 32) + `"...`,
		strings.Repeat("x", 64): `"` + strings.Repeat("x", 64) + `"`,
	} {
		if got := quotePeer(in); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	leaf := &x509.Certificate{}
	for reason, want := range map[error]Check{
		x509.UnknownAuthorityError{}:                                  CheckAuthority,
		x509.CertificateInvalidError{Reason: x509.Expired}:            CheckValidity,
		x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}:  CheckPurpose,
		x509.CertificateInvalidError{Reason: x509.TooManyConstraints}: CheckCertificate,
		cause: CheckCertificate,
	} {
		if err := certificateError(leaf, reason); !errors.Is(err, want) || !errors.Is(err, reason) {
			t.Errorf("%v: %v, want %s", reason, err, want)
		}
	}
}
