package psktls

import (
	"bytes"
	"io"
	"testing"
)

// send writes raw records of a connected client; the server's Read follows.
func (p *pair) send(t *testing.T, typ recordType, payloads ...[]byte) {
	t.Helper()
	go func() {
		p.client.out.mu.Lock()
		defer p.client.out.mu.Unlock()
		for _, b := range payloads {
			if p.client.out.writeRecord(p.client.transport, typ, b) != nil {
				return
			}
		}
	}()
}

// readResult reads once and drains what the server sends back, so that its
// alert does not wait for a reader.
func (p *pair) readResult(t *testing.T) (int, error) {
	t.Helper()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, p.client.transport)
	}()
	n, err := p.server.Read(make([]byte, 100))
	_ = p.server.transport.Close()
	<-drained
	return n, err
}

func only(v uint16) (server, client *Config) {
	server, client = serverConfig(), clientConfig()
	server.MinVersion, server.MaxVersion = v, v
	return server, client
}

func TestFloods(t *testing.T) {
	update := []byte{typeKeyUpdate, 0, 0, 1, updateRequested}
	repeat := func(b []byte, n int) [][]byte {
		out := make([][]byte, n)
		for i := range out {
			out[i] = b
		}
		return out
	}
	for _, c := range []struct {
		name     string
		version  uint16
		typ      recordType
		payloads [][]byte
		check    Check
		alert    Alert
	}{
		{"empty records 1.3", VersionTLS13, recordApplicationData, repeat(nil, maxUseless+1), CheckFlood, AlertUnexpectedMessage},
		{"empty records 1.2", VersionTLS12, recordApplicationData, repeat(nil, maxUseless+1), CheckFlood, AlertUnexpectedMessage},
		{"warnings 1.2", VersionTLS12, recordAlert, repeat([]byte{1, 41}, maxUseless+1), CheckFlood, AlertUnexpectedMessage},
		{"user_canceled 1.3", VersionTLS13, recordAlert, repeat([]byte{1, 90}, maxUseless+1), CheckFlood, AlertUnexpectedMessage},
		{"empty handshake record", VersionTLS13, recordHandshake, repeat(nil, 1), CheckRecord, AlertUnexpectedMessage},
		{"change_cipher_spec after the handshake", VersionTLS13, recordChangeCipherSpec, repeat([]byte{1}, 1), CheckRecord, AlertUnexpectedMessage},
		{"KeyUpdate in 1.2", VersionTLS12, recordHandshake, repeat(update, 1), CheckMessage, AlertUnexpectedMessage},
		{"KeyUpdate value", VersionTLS13, recordHandshake, repeat([]byte{typeKeyUpdate, 0, 0, 1, 2}, 1), CheckMessage, AlertIllegalParameter},
		{"KeyUpdate length", VersionTLS13, recordHandshake, repeat([]byte{typeKeyUpdate, 0, 0, 2, 0, 0}, 1), CheckMessage, AlertDecodeError},
		{"KeyUpdate inside a record", VersionTLS13, recordHandshake, repeat(append(bytes.Clone(update), update...), 1), CheckMessage, AlertUnexpectedMessage},
		{"ticket from a client", VersionTLS13, recordHandshake, repeat([]byte{typeNewSessionTicket, 0, 0, 0}, 1), CheckMessage, AlertUnexpectedMessage},
		{"renegotiation", VersionTLS12, recordHandshake, repeat([]byte{typeClientHello, 0, 0, 0}, 1), CheckRenego, AlertNoRenegotiation},
		{"long message", VersionTLS13, recordHandshake, repeat([]byte{typeNewSessionTicket, 0xff, 0, 0}, 1), CheckMessage, AlertDecodeError},
		{"short alert", VersionTLS13, recordAlert, repeat([]byte{2}, 1), CheckMessage, AlertDecodeError},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustConnect(t, serverConfigFor(c.version), clientConfig())
			p.send(t, c.typ, c.payloads...)
			n, err := p.readResult(t)
			if n != 0 {
				t.Errorf("%d octets of data", n)
			}
			wantCheck(t, err, c.check, c.alert)
			if _, again := p.server.Read(make([]byte, 1)); again != err {
				t.Errorf("a second Read gives %v", again)
			}
			if _, err := p.server.Write([]byte("x")); err == nil {
				t.Error("Write goes on after a refusal")
			}
		})
	}
}

func serverConfigFor(v uint16) *Config {
	server, _ := only(v)
	return server
}

// TestKeyUpdateFlood: KeyUpdates with their keys actually changing.
func TestKeyUpdateFlood(t *testing.T) {
	p := mustConnect(t, serverConfig(), clientConfig())
	go func() {
		p.client.out.mu.Lock()
		defer p.client.out.mu.Unlock()
		for p.client.sendKeyUpdate(true) == nil {
		}
	}()
	_, err := p.readResult(t)
	wantCheck(t, err, CheckFlood, AlertUnexpectedMessage)
}

// TestKeyUpdate: requests are answered once, before the next data, and both
// directions go on; data in between resets the flood counter.
func TestKeyUpdate(t *testing.T) {
	p := mustConnect(t, serverConfig(), clientConfig())
	firstOut := bytes.Clone(p.server.out.secret)
	for range 3 * maxUseless {
		go func() {
			p.client.out.mu.Lock()
			_ = p.client.sendKeyUpdate(true)
			p.client.out.mu.Unlock()
			_, _ = p.client.Write([]byte("x"))
		}()
		b := make([]byte, 4)
		if n, err := p.server.Read(b); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if !bytes.Equal(firstOut, p.server.out.secret) {
		t.Fatal("the answer went out before there was data to send")
	}
	p.transfer(t, []byte("with new keys"))
	if bytes.Equal(firstOut, p.server.out.secret) || p.server.updateDue.Load() {
		t.Error("the requests were not answered")
	}
	if p.client.updateDue.Load() {
		t.Error("the answer asks for another one")
	}
}

// TestOwnKeyUpdateAtLimit: the sender renews its key at the limit, the receiver
// asks a peer that does not.
func TestOwnKeyUpdateAtLimit(t *testing.T) {
	p := mustConnect(t, serverConfig(), clientConfig())
	first := bytes.Clone(p.client.out.secret)
	p.client.out.limit = 10
	p.transfer(t, make([]byte, 200))
	p.transfer(t, make([]byte, 200))
	second := bytes.Clone(p.client.out.secret)
	if bytes.Equal(first, second) {
		t.Error("the key limit did not cause a KeyUpdate")
	}
	if p.client.out.limit != gcmBlockLimit {
		t.Errorf("the new key has the limit %d", p.client.out.limit)
	}
	// The server notices that the client's key is worn out and asks for another.
	p.server.in.limit = 1
	p.transfer(t, []byte("worn out"))
	p.transfer(t, []byte("renewed"))
	p.transfer(t, []byte("and on"))
	if bytes.Equal(second, p.client.out.secret) {
		t.Error("the client was not asked to renew its key")
	}
}

// TestKeyLimit12: without KeyUpdate the sender ends the connection in order.
func TestKeyLimit12(t *testing.T) {
	server, client := only(VersionTLS12)
	p := mustConnect(t, server, client)
	p.server.out.limit = 10
	p.transfer(t, make([]byte, 200))
	read := make(chan error, 1)
	go func() {
		_, err := p.client.Read(make([]byte, 1))
		read <- err
	}()
	n, err := p.server.Write([]byte("x"))
	if n != 0 {
		t.Errorf("%d octets written beyond the limit", n)
	}
	wantCheck(t, err, CheckKeyLimit, AlertCloseNotify)
	if err := <-read; err != io.EOF {
		t.Errorf("the peer reads %v, want io.EOF", err)
	}
}

// TestTicketsAreDropped: what OpenSSL sends after its handshake.
func TestTicketsAreDropped(t *testing.T) {
	p := mustConnect(t, serverConfig(), clientConfig())
	go func() {
		p.server.out.mu.Lock()
		ticket := append([]byte{typeNewSessionTicket, 0, 0, 200}, make([]byte, 200)...)
		_ = p.server.out.writeRecord(p.server.transport, recordHandshake, append(ticket, ticket[:50]...))
		_ = p.server.out.writeRecord(p.server.transport, recordHandshake, ticket[50:])
		p.server.out.mu.Unlock()
		_, _ = p.server.Write([]byte("data"))
	}()
	b := make([]byte, 10)
	if n, err := p.client.Read(b); err != nil || string(b[:n]) != "data" {
		t.Errorf("%q, %v", b[:n], err)
	}
}
