package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/psktls"
)

// tlsFlags are the flags about encryption, with the names of mosquitto_pub.
type tlsFlags struct {
	CAFile         string `name:"cafile" placeholder:"FILE" env:"SEALMQ_CAFILE" group:"TLS" help:"Trusted CA certificates (PEM); turns TLS on."`
	CAPath         string `name:"capath" placeholder:"DIR" env:"SEALMQ_CAPATH" group:"TLS" help:"Folder of trusted CA certificates; turns TLS on."`
	UseOSCerts     bool   `name:"tls-use-os-certs" group:"TLS" help:"Trust the system's CA certificates; turns TLS on. So does -p 8883."`
	Cert           string `name:"cert" placeholder:"FILE" env:"SEALMQ_CERT" group:"TLS" help:"Client certificate (PEM)."`
	Key            string `name:"key" placeholder:"FILE" env:"SEALMQ_KEY" group:"TLS" help:"Private key of the client certificate (PEM); in pub without --cert, a key name of --protect."`
	TLSVersion     string `name:"tls-version" placeholder:"VERSION" group:"TLS" help:"Lowest version: tlsv1.2 (default) or tlsv1.3."`
	ALPN           string `name:"tls-alpn" placeholder:"PROTOCOL" group:"TLS" help:"Application protocol to ask for."`
	Insecure       bool   `name:"insecure" group:"TLS" help:"Do not check that the certificate belongs to the host. Anybody with any trusted certificate can then listen in."`
	SendUnverified bool   `name:"yes-send-password-unverified" group:"TLS" help:"Send the password although --insecure does not know to whom."`
	PSK            string `name:"psk" placeholder:"HEX" group:"TLS" help:"Pre-shared key for TLS-PSK. The process list shows it: prefer --psk-file."`
	PSKFile        string `name:"psk-file" placeholder:"FILE" env:"SEALMQ_PSK_FILE" group:"TLS" help:"File with the pre-shared key in hexadecimal in its first line."`
	PSKIdentity    string `name:"psk-identity" placeholder:"NAME" env:"SEALMQ_PSK_IDENTITY" group:"TLS" help:"Identity that belongs to the pre-shared key."`
}

// secureWay is how the connection is encrypted; the zero value is not at all.
type secureWay struct {
	tls *tls.Config
	psk *psktls.Config
}

func (w secureWay) enabled() bool { return w.tls != nil || w.psk != nil }

func (w secureWay) scheme() string {
	if w.psk != nil {
		return "mqtts+psk"
	}
	return "mqtts"
}

func (f *tlsFlags) wantsTLS() bool {
	return f.CAFile != "" || f.CAPath != "" || f.UseOSCerts || f.Cert != "" || f.Key != "" || f.Insecure
}

// tls evaluates the flags.
func (f *brokerFlags) tls(password bool, host string, a *app) (secureWay, error) {
	minimum, err := tlsVersion(f.TLSVersion)
	if err != nil {
		return secureWay{}, err
	}
	if f.PSK != "" || f.PSKFile != "" || f.PSKIdentity != "" {
		return f.presharedKey(minimum, a)
	}
	if !f.wantsTLS() && f.Port != 8883 {
		if f.TLSVersion != "" || f.ALPN != "" {
			return secureWay{}, usageError("cannot use --tls-version or --tls-alpn", "the connection is not encrypted", "add --cafile FILE or --tls-use-os-certs")
		}
		return secureWay{}, nil
	}
	cfg := &tls.Config{MinVersion: minimum, ServerName: host}
	if f.ALPN != "" {
		cfg.NextProtos = []string{f.ALPN}
	}
	if cfg.RootCAs, err = f.roots(); err != nil {
		return secureWay{}, err
	}
	if (f.Cert == "") != (f.Key == "") {
		return secureWay{}, usageError("cannot use a client certificate", "--cert and --key belong together", "")
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return secureWay{}, &failure{exitTLSIdentity, "cannot use the client certificate " + f.Cert, err.Error(), "--key must be the private key of --cert, both in PEM", err}
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if f.Insecure {
		if password && !f.SendUnverified {
			return secureWay{}, usageError("cannot use --insecure together with a password",
				"nobody knows who would get the password", "leave out --insecure, or add --yes-send-password-unverified")
		}
		a.alarm("--insecure: whoever answers is believed to be " + host)
		trustAnyHost(cfg)
	}
	return secureWay{tls: cfg}, nil
}

// trustAnyHost checks the chain of the server's certificate, and not the name in it, which is what --insecure means for
// mosquitto_pub.
func trustAnyHost(cfg *tls.Config) {
	roots := cfg.RootCAs
	cfg.InsecureSkipVerify = true //nolint:gosec // asked for by name, and the chain is verified below
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, c := range state.PeerCertificates[1:] {
			between.AddCert(c)
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
		if err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		return nil
	}
}

func tlsVersion(name string) (uint16, error) {
	switch name {
	case "", "tlsv1.2":
		return tls.VersionTLS12, nil
	case "tlsv1.3":
		return tls.VersionTLS13, nil
	}
	return 0, usageError("cannot use --tls-version "+name, "there are tlsv1.2 and tlsv1.3; older versions are broken", "")
}

// roots returns the trusted CA certificates; nil means the system's.
func (f *tlsFlags) roots() (*x509.CertPool, error) {
	if f.CAFile == "" && f.CAPath == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	var files []string
	if f.CAFile != "" {
		files = append(files, f.CAFile)
	}
	if f.CAPath != "" {
		entries, err := os.ReadDir(f.CAPath)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !e.IsDir() {
				files = append(files, filepath.Join(f.CAPath, e.Name()))
			}
		}
	}
	found := false
	for _, name := range files {
		pem, err := os.ReadFile(name) //nolint:gosec // named by the user
		if err != nil {
			return nil, err
		}
		ok := pool.AppendCertsFromPEM(pem)
		if !ok && name == f.CAFile {
			return nil, &failure{exitTLSIdentity, "cannot use " + name, "it holds no certificate in PEM form", "", nil}
		}
		found = found || ok
	}
	if !found {
		return nil, &failure{exitTLSIdentity, "cannot use " + f.CAPath, "no file in it holds a certificate in PEM form", "", nil}
	}
	return pool, nil
}

// presharedKey evaluates the flags of TLS-PSK.
func (f *tlsFlags) presharedKey(minimum uint16, a *app) (secureWay, error) {
	switch {
	case f.wantsTLS():
		return secureWay{}, usageError("cannot use a pre-shared key together with certificates", "a connection has one or the other", "")
	case f.PSKIdentity == "" || f.PSK == "" && f.PSKFile == "":
		return secureWay{}, usageError("cannot use a pre-shared key", "--psk-identity and --psk-file (or --psk) belong together", "")
	case f.PSK != "" && f.PSKFile != "":
		return secureWay{}, usageError("cannot use --psk together with --psk-file", "both hold the key", "")
	}
	digits := f.PSK
	if digits != "" {
		a.warn("--psk: the process list shows the key; prefer --psk-file")
	} else {
		line, err := readSecretFile(f.PSKFile, a)
		if err != nil {
			return secureWay{}, err
		}
		digits = string(line)
	}
	key, err := hex.DecodeString(strings.TrimSpace(digits))
	if err != nil {
		return secureWay{}, usageError("cannot use the pre-shared key", "it is not hexadecimal", "") // the cause would show a part of it
	}
	cfg := &psktls.Config{Identity: []byte(f.PSKIdentity), Key: key, MinVersion: minimum}
	if f.ALPN != "" {
		cfg.NextProtos = []string{f.ALPN}
	}
	if err := cfg.ValidateClient(); err != nil {
		return secureWay{}, usageError("cannot use the pre-shared key", err.Error(), "")
	}
	return secureWay{psk: cfg}, nil
}

// dialer connects with a local address, with a pre-shared key, or both.
func (w secureWay) dialer(bind, host string) (client.DialFunc, error) {
	var d net.Dialer
	if bind != "" {
		local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(bind, "0"))
		if err != nil {
			return nil, usageError("cannot use -A "+bind, err.Error(), "")
		}
		d.LocalAddr = local
	}
	return func(ctx context.Context, server *url.URL) (net.Conn, error) {
		conn, err := d.DialContext(ctx, "tcp", server.Host)
		if err != nil {
			return nil, err
		}
		switch {
		case w.psk != nil:
			secure := psktls.Client(conn, w.psk)
			err = secure.HandshakeContext(ctx)
			return closeOnError(secure, err)
		case w.tls != nil:
			secure := tls.Client(conn, w.tls)
			err = secure.HandshakeContext(ctx)
			return closeOnError(secure, err)
		}
		return conn, nil
	}, nil
}

func closeOnError(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
