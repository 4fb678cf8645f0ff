package client

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
)

// dial opens the byte stream to the server.
func (s *settings) dial(ctx context.Context) (net.Conn, error) {
	if s.Dial != nil {
		conn, err := s.Dial(ctx, s.server)
		if err != nil {
			return nil, s.connectError("dial", err)
		}
		return conn, nil
	}
	network, address := endpoint(s.server)
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, s.connectError("dial", err)
	}
	if s.server.Scheme != "mqtts" {
		return conn, nil
	}
	secure := tls.Client(conn, tlsConfig(s.TLS, s.server.Hostname()))
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, s.connectError("tls handshake", err)
	}
	return secure, nil
}

func (s *settings) connectError(step string, err error) error {
	return &ConnectError{Server: s.Server, Step: step, Err: err}
}

// endpoint returns what net.Dial needs, with the registered ports as defaults.
func endpoint(u *url.URL) (network, address string) {
	switch {
	case u.Scheme == "unix":
		return "unix", u.Path
	case u.Port() != "":
		return "tcp", u.Host
	case u.Scheme == "mqtts":
		return "tcp", net.JoinHostPort(u.Hostname(), "8883")
	default:
		return "tcp", net.JoinHostPort(u.Hostname(), "1883")
	}
}

// tlsConfig completes the caller's configuration without changing it.
func tlsConfig(given *tls.Config, host string) *tls.Config {
	cfg := given.Clone()
	if cfg == nil {
		cfg = new(tls.Config)
	}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
	}
	return cfg
}

// confidential reports whether a password may be sent on conn: the URL promises encryption, or crypto/tls provides it,
// or the bytes do not leave this machine.
func (s *settings) confidential(conn net.Conn) bool {
	if s.encrypted {
		return true
	}
	if _, ok := conn.(*tls.Conn); ok {
		return true
	}
	switch remote := conn.RemoteAddr().(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return remote.IP.IsLoopback()
	default:
		return false // an address that says nothing is not taken for a safe one
	}
}
