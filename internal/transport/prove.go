package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/psktls"
)

// exportable reports whether keying material may be exported: RFC 9266 asks for TLS 1.3 or the extended master secret, and
// so does crypto/tls.
func exportable(state *tls.ConnectionState) bool {
	_, err := state.ExportKeyingMaterial(psktls.ChannelBindingLabel, nil, 32)
	return err == nil
}

// evidenceOf is what a socket says by itself.
func evidenceOf(transport string, c net.Conn) *identity.Evidence {
	ev := &identity.Evidence{Transport: transport}
	local, tcp := c.LocalAddr().(*net.TCPAddr)
	if !tcp {
		ev.Loopback = true // a Unix socket
		return ev
	}
	ev.Local = unmap(local)
	if remote, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		ev.Remote = unmap(remote)
	}
	ev.Loopback = ev.Local.Addr().IsLoopback() && ev.Remote.Addr().IsLoopback()
	return ev
}

// plainConn is a connection without TLS.
type plainConn struct {
	*socket
	transport string
}

// Prove implements the broker's seam: there is no handshake.
func (c *plainConn) Prove(context.Context) (*identity.Evidence, error) {
	return evidenceOf(c.transport, c.socket), nil
}

// Prove performs the handshake, bounded by ctx. After an error, which is an *Error, the caller closes the connection.
func (c *secureConn) Prove(ctx context.Context) (*identity.Evidence, error) {
	proved, err := c.prove(ctx)
	if err != nil {
		c.pipe.farewell(ctx, err)
		return nil, err
	}
	c.pipe.detached.Store(true)
	transport := "tls"
	if proved.PSKIdentity != "" {
		transport = "psk"
	}
	ev := evidenceOf(transport, c.pipe.socket)
	ev.TLS = proved
	return ev, nil
}

// How long, and for how many bytes, a refused client is listened to, so that it reads the alert instead of a reset.
const (
	farewellTime  = 250 * time.Millisecond
	farewellBytes = 64 << 10
)

// farewell follows a refusal that was sent to the peer.
func (c *socket) farewell(ctx context.Context, err error) {
	if ctx.Err() != nil || errors.Is(err, CheckTransport) || errors.Is(err, CheckTimeout) || errors.Is(err, CheckPeerAlert) {
		return
	}
	_ = c.CloseWrite()
	_ = c.SetReadDeadline(time.Now().Add(farewellTime))
	_, _ = io.CopyN(io.Discard, c.stream, farewellBytes)
}

// noCertificate is part of what crypto/tls says about a client without certificate; it has no type for it.
const noCertificate = "didn't provide a certificate"

// serverTLS prepares the server side of TLS with certificates over transport. The files in force when the handshake
// checks the client are those that count.
func (l *Listener) serverTLS(transport net.Conn) (*tls.Conn, func(context.Context) (*identity.TLS, error)) {
	var chain []*x509.Certificate
	creds := l.current.Load()
	config := creds.server.Clone()
	hello := &offer{minimum: config.MinVersion, own: config.Certificates[0].Leaf}
	config.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		hello.take(h)
		return nil, nil
	}
	config.VerifyConnection = func(state tls.ConnectionState) (err error) {
		chain, err = l.current.Load().verify(state.PeerCertificates, time.Now())
		return err
	}
	config.WrapSession = l.tickets.EncryptTicket
	config.UnwrapSession = l.tickets.DecryptTicket
	conn := tls.Server(transport, config)
	return conn, func(ctx context.Context) (*identity.TLS, error) {
		if err := conn.HandshakeContext(ctx); err != nil {
			if len(conn.ConnectionState().PeerCertificates) == 0 && strings.Contains(err.Error(), noCertificate) {
				err = refuse(CheckCertificate, "a client certificate", "none")
			}
			return nil, handshakeError(ctx, err, hello)
		}
		config.VerifyConnection, config.GetConfigForClient = nil, nil // runs once: keep nothing of it
		state := conn.ConnectionState()
		proved := &identity.TLS{
			Version: state.Version, CipherSuite: state.CipherSuite, ServerName: state.ServerName, Chain: chain,
		}
		if exportable(&state) {
			proved.Exporter = func(label string, context []byte, length int) ([]byte, error) {
				state := conn.ConnectionState()
				return state.ExportKeyingMaterial(label, context, length)
			}
		}
		return proved, nil
	}
}

// pskTimeout is above every connect timeout: ctx bounds the handshake.
const pskTimeout = 10 * time.Minute

// serverPSK prepares the server side of TLS with pre-shared keys over transport.
func (l *Listener) serverPSK(transport net.Conn) (*psktls.Conn, func(context.Context) (*identity.TLS, error)) {
	prints := map[string][16]byte{} // of the keys that were looked up, at most eight
	conn := psktls.Server(transport, &psktls.Config{
		GetKey: func(id []byte) ([]byte, error) {
			key, err := l.current.Load().keys.GetKey(id)
			if key != nil {
				prints[string(id)] = fingerprint(key)
			}
			return key, err
		},
		Groups:                []uint16{psktls.GroupX25519, psktls.GroupP256},
		AllowNoForwardSecrecy: l.options.PSK.AllowNoForwardSecrecy,
		HandshakeTimeout:      pskTimeout,
		NextProtos:            []string{"mqtt"},
	})
	return conn, func(ctx context.Context) (*identity.TLS, error) {
		if err := conn.HandshakeContext(ctx); err != nil {
			return nil, handshakeError(ctx, err, nil)
		}
		state := conn.ConnectionState()
		proved := &identity.TLS{
			Version: state.Version, CipherSuite: state.CipherSuite, PSKIdentity: conn.PSKIdentity(),
			PSKFingerprint: prints[conn.PSKIdentity()], Exporter: conn.ExportKeyingMaterial,
		}
		clear(prints)
		return proved, nil
	}
}
