package ca

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// PeerError is a server whose certificate could not be fetched.
type PeerError struct {
	Address string
	Why     string // a sentence
	Hint    string // what to do, may be empty
	Err     error
}

// Error implements error.
func (e *PeerError) Error() string { return e.Address + ": " + e.Why }

// Unwrap returns the cause.
func (e *PeerError) Unwrap() error { return e.Err }

// InspectPeer connects to host:port, takes whatever certificate is shown, says goodbye, and reports on it. Nothing but
// the handshake is sent. The error is a *PeerError, or one of the files of o.
func InspectPeer(ctx context.Context, address string, o Against) (*Report, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &PeerError{Address: address, Why: "it is not HOST:PORT", Err: err}
	}
	if o.Host == "" {
		o.Host = host
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, &PeerError{Address: address, Why: dialWords(err), Err: err}
	}
	defer raw.Close() //nolint:errcheck // nothing of it is needed any more
	state, asked, err := shake(ctx, raw, o.Host)
	if err != nil {
		return nil, handshakeError(address, err)
	}
	r := &Report{Target: address, TLS: tls.VersionName(state.Version) + ", " + tls.CipherSuiteName(state.CipherSuite), Items: []Item{}, Findings: []Finding{}}
	r.clock(o.Now)
	if asked != nil {
		r.note(Finding{Check: CheckAuthority, Text: "the server asks for a client certificate" + asked.words()})
	}
	if state.Version < tls.VersionTLS12 {
		r.problem(Finding{Check: CheckForm, Text: "the server speaks " + tls.VersionName(state.Version) + ", which is broken", Expected: "TLS 1.2 or 1.3", Fix: "configure the server"})
	}
	return r, r.chain(state.PeerCertificates, o)
}

// request is what a server says about the client certificates it wants.
type request struct{ authorities []string }

func (q *request) words() string {
	if len(q.authorities) == 0 {
		return ""
	}
	return " of " + strings.Join(q.authorities, " or ")
}

// shake performs the handshake. The certificate is not verified by it, because what is wrong with it is what is asked for.
func shake(ctx context.Context, raw net.Conn, host string) (state tls.ConnectionState, asked *request, err error) {
	config := &tls.Config{
		ServerName: host, InsecureSkipVerify: true, //nolint:gosec // nothing is sent, and the chain is examined by the caller
		MinVersion: tls.VersionTLS10,
		GetClientCertificate: func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = new(request)
			for _, name := range info.AcceptableCAs {
				if len(asked.authorities) < 5 {
					asked.authorities = append(asked.authorities, distinguished(name))
				}
			}
			return new(tls.Certificate), nil
		},
	}
	conn := tls.Client(raw, config)
	err = conn.HandshakeContext(ctx)
	state = conn.ConnectionState()
	if err != nil && len(state.PeerCertificates) > 0 {
		err = nil // the server broke off after it had shown its certificate, for want of ours
	}
	return state, asked, err
}

// distinguished shows a name in DER.
func distinguished(der []byte) string {
	var names pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &names); err != nil || len(rest) > 0 {
		return "an authority whose name cannot be read"
	}
	return names.String()
}

func dialWords(err error) string {
	var timeout interface{ Timeout() bool }
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return "the name " + dns.Name + " is not known"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "nobody answers"
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err.Error()
	}
	return err.Error()
}

func handshakeError(address string, err error) error {
	e := &PeerError{Address: address, Why: err.Error(), Err: err}
	var record tls.RecordHeaderError
	var op *net.OpError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &record):
		e.Why, e.Hint = "it does not speak TLS on this port", "is this the port of an unencrypted listener? TLS is usually on 8883"
	case errors.As(err, &op) && op.Op == "remote error": // how crypto/tls says that an alert arrived
		e.Why = "the server refuses the handshake: " + strings.TrimPrefix(op.Err.Error(), "tls: ")
		e.Hint = "a listener with pre-shared keys shows no certificate"
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		e.Why, e.Hint = "it closes the connection without an answer", "does it speak TLS? a plain MQTT listener closes like this"
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Why, e.Hint = "it takes the connection and does not answer", "does it speak TLS on this port?"
	}
	return e
}

// PeerTimeout is long enough for a handshake with a small device.
const PeerTimeout = 10 * time.Second
