package psktls

import (
	"bytes"
	"net"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
)

// handmade is a client whose ClientHello a test changes before it is signed and
// sent, and which then goes on as usual.
type handmade struct {
	*Conn

	hello  *clientHello
	binder *clientBinder
	edit   func(h *clientHello)          // fields, before marshalling
	patch  func(raw []byte) []byte       // octets, after marshalling, before the binders
	extra  func(c *Conn) error           // records right behind the ClientHello
	keys   func(i int, id []byte) []byte // key for the binder of identity i; nil: the configured one
	second func(h *clientHello)          // edits the ClientHello that answers a HelloRetryRequest
}

// run does what clientHandshake does, with the hooks in between.
func (m *handmade) run() error {
	c := m.Conn
	c.in.hold = true
	c.out.flight = getBuffer(smallBufferLen)
	return c.endHandshake(m.handshake())
}

func (m *handmade) handshake() error {
	c := m.Conn
	hello, key, err := c.makeHello()
	if err != nil {
		return err
	}
	m.hello = hello
	if m.edit != nil {
		m.edit(hello)
	}
	if hello.versions != nil {
		m.binder = newClientBinder(c.settings)
	}
	if err := m.sign(hello); err != nil {
		return err
	}
	if err := c.out.queue(recordHandshake, 0x0301, hello.raw); err != nil {
		return err
	}
	if err := c.out.flush(c.transport); err != nil {
		return err
	}
	if m.extra != nil {
		if err := m.extra(c); err != nil {
			return err
		}
	}
	raw, err := c.readMessage(typeServerHello)
	if err != nil {
		return err
	}
	reply, err := parseServerHello(raw)
	if err != nil {
		return err
	}
	if c.state.Version, err = c.settings.checkServerVersion(reply); err != nil {
		return err
	}
	if c.state.Version == VersionTLS12 {
		return (&client12{c: c, hello: hello, reply: reply}).run()
	}
	if m.second != nil && reply.isRetry() {
		m.second(hello)
	}
	return (&client13{c: c, hello: hello, reply: reply, key: key, group: c.settings.groups[0], binder: m.binder}).run()
}

// sign marshals, patches and fills in one binder for each identity.
func (m *handmade) sign(h *clientHello) error {
	size := 0
	if m.binder != nil {
		size = m.binder.suite.hash.Size()
	}
	if err := h.marshal(size); err != nil {
		return err
	}
	if m.patch != nil {
		before := len(h.raw)
		h.raw = m.patch(h.raw)
		h.bindersAt += len(h.raw) - before
	}
	if m.binder == nil {
		return nil
	}
	newHash := m.binder.suite.newHash
	truncated := newHash()
	truncated.Write(h.raw[:h.bindersAt])
	for i, id := range h.identities {
		key := []byte(m.settings.key)
		if m.keys != nil {
			key = m.keys(i, id)
		}
		h.setBinder(i, newSchedule13(newHash, key).binder(nil, truncated.Sum(nil)))
	}
	return nil
}

// insertExtension gives a patch that puts an extension in front of the others.
func insertExtension(typ uint16, body []byte) func([]byte) []byte {
	return func(raw []byte) []byte {
		s := cryptobyte.String(raw[messageHeaderLen+2+randomLen:])
		var sessionID, suites, compressions cryptobyte.String
		s.ReadUint8LengthPrefixed(&sessionID)
		s.ReadUint16LengthPrefixed(&suites)
		s.ReadUint8LengthPrefixed(&compressions)
		at := len(raw) - len(s) // of the extensions' length
		ext := append([]byte{byte(typ >> 8), byte(typ), byte(len(body) >> 8), byte(len(body))}, body...)
		n := len(s) - 2 + len(ext)
		out := slices.Concat(raw[:at], []byte{byte(n >> 8), byte(n)}, ext, raw[at+2:])
		total := len(out) - messageHeaderLen
		out[1], out[2], out[3] = byte(total>>16), byte(total>>8), byte(total)
		return out
	}
}

// meet runs a handmade client against a server.
func meet(t *testing.T, server, client *Config, m *handmade) (s *Conn, serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	s, m.Conn = Server(a, server), Client(b, client)
	if m.configErr != nil {
		t.Fatal(m.configErr)
	}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	done := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err != nil {
			_ = a.Close()
		}
		done <- err
	}()
	clientErr = m.run()
	if clientErr != nil {
		_ = b.Close()
	}
	return s, <-done, clientErr
}

func repeatByte(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }
