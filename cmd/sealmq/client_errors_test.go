package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/mqtt"
)

// TestClientFailureCodes: scripts depend on which code belongs to what.
func TestClientFailureCodes(t *testing.T) {
	connect := func(err error) error { return &client.ConnectError{Server: "s", Step: "dial", Err: err} }
	for _, c := range []struct {
		err  error
		code exitCode
	}{
		{connect(errors.New("down")), exitConnect},
		{connect(x509.HostnameError{Certificate: new(x509.Certificate), Host: "h"}), exitTLSIdentity},
		{connect(&tls.CertificateVerificationError{Err: errors.New("unknown authority")}), exitTLSIdentity},
		{connect(tls.AlertError(42)), exitTLSIdentity},
		{&client.ConnackError{Code: mqtt.BadUserNameOrPassword}, exitLogin},
		{&client.ConnackError{Code: mqtt.ServerBusy}, exitConnect},
		{&client.PublishError{Code: mqtt.NotAuthorized}, exitNotAllowed},
		{&client.PublishError{Code: mqtt.QuotaExceeded}, exitFailed},
		{&client.PublishError{Code: mqtt.PayloadFormatInvalid}, exitProtection},
		{&client.SubscribeError{Code: mqtt.NotAuthorized}, exitNotAllowed},
		{fmt.Errorf("%w: %w", client.ErrClosed, &client.DisconnectError{Code: mqtt.NotAuthorized}), exitNotAllowed},
		{fmt.Errorf("%w: %w", client.ErrClosed, io.EOF), exitFailed},
		{client.ErrPlaintextPassword, exitUsage},
		{context.Canceled, exitInterrupted},
		{errTimedOut, exitTimedOut},
	} {
		var f *failure
		if !errors.As(clientFailure(c.err), &f) || f.code != c.code || f.what == "" {
			t.Errorf("%v: got %+v, want code %d", c.err, f, c.code)
		}
	}
}
