package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/psktls"
)

// clientFailure finds the words and the exit code for an error of the MQTT client.
func clientFailure(err error) error {
	var (
		known        *failure
		ack          *client.ConnackError
		disconnected *client.DisconnectError
		published    *client.PublishError
		subscribed   *client.SubscribeError
		connect      *client.ConnectError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &ack):
		return connackFailure(ack)
	case errors.As(err, &published):
		what := "cannot publish to " + strconv.Quote(published.Topic)
		return reasonFailure(what, published.Code, published.ReasonString, err)
	case errors.As(err, &subscribed):
		what := "cannot subscribe to " + strconv.Quote(subscribed.Filter)
		return reasonFailure(what, subscribed.Code, subscribed.ReasonString, err)
	case errors.As(err, &disconnected):
		return reasonFailure("the broker closed the connection", disconnected.Code, disconnected.ReasonString, err)
	case errors.Is(err, client.ErrPlaintextPassword):
		return &failure{
			exitUsage, "refusing to send the password in clear", "the connection is not encrypted and leaves this machine",
			"use TLS (--cafile FILE, or --tls-use-os-certs), or add --yes-send-password-in-clear", err,
		}
	case errors.As(err, &connect):
		return connectFailure(connect)
	case errors.Is(err, io.EOF), errors.Is(err, client.ErrConnectionLost):
		return &failure{
			exitFailed, "the broker closed the connection", "without giving a reason",
			"before MQTT 5 a broker cannot say why; its log can", err,
		}
	case errors.Is(err, context.Canceled):
		return &failure{exitInterrupted, "interrupted", "", "", err}
	}
	return &failure{exitFailed, err.Error(), "", "", err}
}

// withReason adds the broker's own words, quoted, to the standard's.
func withReason(code mqtt.ReasonCode, reason string) string {
	s := fmt.Sprintf("%s (0x%02X)", code, uint8(code))
	if reason != "" {
		s += ", the broker says " + strconv.Quote(reason)
	}
	return s
}

func connackFailure(e *client.ConnackError) *failure {
	f := &failure{exitConnect, "the broker refused the connection", withReason(e.Code, e.ReasonString), "", e}
	switch e.Code {
	case mqtt.BadUserNameOrPassword, mqtt.NotAuthorized, mqtt.BadAuthenticationMethod, mqtt.Banned:
		f.code, f.what = exitLogin, "login refused"
		f.hint = "check -u and the password (with --credential also -i, --server-name and both clocks); the broker's log names the rule that decided"
	case mqtt.UnsupportedProtocolVersion:
		f.hint = "try -V 311"
	case mqtt.ClientIdentifierNotValid:
		f.hint = "choose another client identifier with -i"
	case mqtt.UseAnotherServer, mqtt.ServerMoved:
		if e.ServerReference != "" {
			f.hint = "the broker names another one: " + strconv.Quote(e.ServerReference)
		}
	}
	return f
}

// reasonFailure is for what was refused on a connection that stands.
func reasonFailure(what string, code mqtt.ReasonCode, reason string, err error) *failure {
	f := &failure{exitFailed, what, withReason(code, reason), "", err}
	switch code {
	case mqtt.NotAuthorized:
		f.code, f.hint = exitNotAllowed, "the broker's access rules decide; its log names the rule"
	case mqtt.PayloadFormatInvalid:
		f.code, f.hint = exitProtection, "the broker demands another form of payload on this topic"
	case mqtt.PacketTooLarge:
		f.hint = "send less in one message, or raise the broker's packet limit"
	case mqtt.SessionTakenOver:
		f.hint = "another client uses the same client identifier: choose one with -i"
	case mqtt.QoSNotSupported:
		f.hint = "use a lower -q"
	}
	return f
}

func connectFailure(e *client.ConnectError) *failure {
	f := &failure{exitConnect, "cannot connect to " + e.Server, e.Step + ": " + e.Err.Error(), "", e}
	var (
		verify *tls.CertificateVerificationError
		host   x509.HostnameError
		alert  tls.AlertError
		record tls.RecordHeaderError
		psk    *psktls.Error
		dns    *net.DNSError
	)
	switch {
	case errors.As(e, &host):
		f.code, f.hint = exitTLSIdentity, "connect to a name that the certificate holds, or give the broker a certificate for this one"
	case errors.As(e, &verify):
		f.code, f.hint = exitTLSIdentity, "give the CA that issued the broker's certificate with --cafile"
	case errors.As(e, &record):
		f.hint = "the port does not speak TLS: leave out the TLS flags, or choose another -p"
	case errors.As(e, &alert):
		f.code, f.hint = exitTLSIdentity, "the broker refused the handshake: does it want a client certificate (--cert, --key)?"
	case errors.As(e, &psk):
		f.code, f.hint = exitTLSIdentity, "check --psk-identity and the key on both sides"
	case errors.As(e, &dns):
		f.hint = "check the host name"
	case errors.Is(e, syscall.ECONNREFUSED):
		f.hint = "nothing listens there: is the broker running, and is it this port?"
	case errors.Is(e, context.DeadlineExceeded):
		f.hint = "nothing answered in time: is a firewall in between, or TLS expected on this port?"
	case e.Step == "tls handshake":
		f.hint = "does the port speak TLS? If not, leave out the TLS flags or choose another -p"
	case e.Step == "mqtt handshake":
		f.hint = "the broker closed before answering: does the port expect TLS, or another protocol version (-V 311)?"
	}
	return f
}
