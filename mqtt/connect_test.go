package mqtt

import (
	"errors"
	"testing"
)

// TestConnect31MissingCredentials: the Remaining Length of a 3.1 CONNECT takes precedence over its flags.
func TestConnect31MissingCredentials(t *testing.T) {
	cases := []struct {
		rest               string
		hasUser, hasPasswd bool
	}{
		{lp("c"), false, false},
		{lp("c") + lp("u"), true, false},
		{lp("c") + lp("u") + lp("p"), true, true},
	}
	for _, c := range cases {
		p, err := parseFrame(connect(V31, 0xC2, c.rest), 0)
		if err != nil {
			t.Errorf("%q: %v", c.rest, err)
			continue
		}
		if got := p.(*Connect); got.HasUsername != c.hasUser || got.HasPassword != c.hasPasswd || got.CredentialPrefix != nil != c.hasPasswd {
			t.Errorf("%q: %+v", c.rest, got)
		}
	}
}

// TestConnect31Tolerance: bits that 3.1 leaves undefined, and long Client Identifiers, are accepted.
func TestConnect31Tolerance(t *testing.T) {
	for _, b := range [][]byte{
		connect(V31, 0x03, lp("c")), connect(V31, 0x3A, lp("c")),
		connect(V31, 0x02, lp("more than twenty-three characters")),
	} {
		if p, err := parseFrame(b, 0); err != nil || p.(*Connect).HasWill || p.(*Connect).Will.QoS != 0 {
			t.Errorf("% x: %v, %v", b, p, err)
		}
	}
}

func TestConnectNotMinimal311(t *testing.T) {
	b := connect(V311, 0x02, lp("c"))
	b = append([]byte{0x10, b[1] | 0x80, 0x00}, b[2:]...)
	if _, err := parseFrame(b, 0); err != nil {
		t.Errorf("a longer Remaining Length is legal in 3.1.1: %v", err)
	}
}

func TestConnectPasswordAlone5(t *testing.T) {
	p, err := parseFrame(connect(V5, 0x42, "\x00", lp("c"), lp("p")), 0)
	if err != nil || p.(*Connect).HasUsername || string(p.(*Connect).Password) != "p" {
		t.Errorf("%v, %v", p, err)
	}
}

// TestConnectVersionOfRefused: the version is known even though the packet is refused, so that it can be answered.
func TestConnectVersionOfRefused(t *testing.T) {
	for _, c := range []struct {
		b    []byte
		want Version
	}{
		{connect(V5, 0x03, "\x00", lp("c")), V5},
		{connect(V311, 0x03, lp("c")), V311},
		{connect(V31, 0x02, lp("")), V31},
		{frame(0x10, lp("MQTT"), "\x07\x02\x00\x00\x00", lp("c")), 7},
		{frame(0x10, lp("HTTP"), "\x05\x02\x00\x00\x00", lp("c")), 0},
	} {
		p, err := parseFrame(c.b, 0)
		if !errors.As(err, new(*Error)) {
			t.Fatalf("% x: %v", c.b, err)
		}
		if got := p.(*Connect).ProtocolVersion; got != c.want {
			t.Errorf("% x: %s, want %s", c.b, got, c.want)
		}
	}
}
