package psktls

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testIdentity = "sensor-7"

var testKey = bytes.Repeat([]byte{0x5A}, 32)

// oneKey knows testIdentity only.
func oneKey(identity []byte) ([]byte, error) {
	if string(identity) == testIdentity {
		return testKey, nil
	}
	return nil, nil
}

func serverConfig() *Config { return &Config{GetKey: oneKey} }

// x25519First is for tests that have to know which key share a client sends.
var x25519First = []uint16{GroupX25519, GroupP256, GroupP384}

func clientConfig() *Config { return &Config{Identity: []byte(testIdentity), Key: testKey} }

// pair is both ends of one connection after their handshakes.
type pair struct {
	server, client       *Conn
	serverErr, clientErr error
}

// connect runs both handshakes over the two ends of a transport and closes both
// when the test ends.
func connect(t testing.TB, serverEnd, clientEnd net.Conn, server, client *Config) *pair {
	t.Helper()
	p := &pair{server: Server(serverEnd, server), client: Client(clientEnd, client)}
	t.Cleanup(func() {
		// The transports first: nobody reads a close_notify any more, and a
		// pipe would make Close wait for its time limit.
		_ = clientEnd.Close()
		_ = serverEnd.Close()
		_ = p.client.Close()
		_ = p.server.Close()
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.serverErr = p.server.HandshakeContext(t.Context())
		if p.serverErr != nil {
			_ = p.server.Close()
		}
	}()
	p.clientErr = p.client.HandshakeContext(t.Context())
	if p.clientErr != nil {
		_ = p.client.Close()
	}
	<-done
	return p
}

func connectPipe(t testing.TB, server, client *Config) *pair {
	t.Helper()
	a, b := net.Pipe()
	return connect(t, a, b, server, client)
}

// mustConnect fails the test if a handshake fails.
func mustConnect(t testing.TB, server, client *Config) *pair {
	t.Helper()
	p := connectPipe(t, server, client)
	if p.serverErr != nil || p.clientErr != nil {
		t.Fatalf("handshake: server %v, client %v", p.serverErr, p.clientErr)
	}
	return p
}

// transfer sends data in both directions and compares.
func (p *pair) transfer(t testing.TB, data []byte) {
	t.Helper()
	for _, d := range []struct{ from, to *Conn }{{p.client, p.server}, {p.server, p.client}} {
		sent := make(chan error, 1)
		go func() {
			_, err := d.from.Write(data)
			sent <- err
		}()
		got := make([]byte, len(data))
		if _, err := io.ReadFull(d.to, got); err != nil {
			t.Fatalf("read: %v", err)
		}
		if err := <-sent; err != nil {
			t.Fatalf("write: %v", err)
		}
		if !bytes.Equal(got, data) {
			t.Fatal("other octets arrived than were sent")
		}
	}
}

// wantCheck asserts which check failed and which alert went out or came in.
func wantCheck(t testing.TB, err error, check Check, alert Alert) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error of check %q", err, string(check))
	}
	if !errors.Is(err, check) || e.Alert != alert {
		t.Fatalf("got check %q, alert %v (%v); want %q, %v", string(e.Check), e.Alert, err, string(check), alert)
	}
}
