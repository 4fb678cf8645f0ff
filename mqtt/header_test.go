package mqtt

import (
	"bytes"
	"errors"
	"testing"
)

// TestHeaderLengths walks the table of Remaining Lengths in MQTT 5 §1.5.5.
func TestHeaderLengths(t *testing.T) {
	cases := []struct {
		remaining int
		encoded   []byte
	}{
		{0, []byte{0}},
		{127, []byte{0x7F}},
		{128, []byte{0x80, 0x01}},
		{16383, []byte{0xFF, 0x7F}},
		{16384, []byte{0x80, 0x80, 0x01}},
		{2097151, []byte{0xFF, 0xFF, 0x7F}},
		{2097152, []byte{0x80, 0x80, 0x80, 0x01}},
		{MaxRemainingLength, []byte{0xFF, 0xFF, 0xFF, 0x7F}},
	}
	for _, c := range cases {
		b := AppendHeader(nil, TypePublish, 0xB, c.remaining)
		if !bytes.Equal(b, append([]byte{0x3B}, c.encoded...)) {
			t.Errorf("%d was encoded as % x", c.remaining, b)
		}
		h, n, err := ParseHeader(append(b, 0xFF), V5)
		if err != nil || n != len(b) || h != (Header{TypePublish, 0xB, c.remaining, true}) {
			t.Errorf("%d: %+v, %d, %v", c.remaining, h, n, err)
		}
	}
}

func TestHeaderNotMinimal(t *testing.T) {
	for _, encoded := range []string{"\x80\x00", "\xFF\x00", "\x81\x80\x00", "\x80\x80\x80\x00"} {
		b := []byte("\x30" + encoded)
		for _, v := range []Version{0, V31, V311} {
			if h, n, err := ParseHeader(b, v); err != nil || n != len(b) || h.Minimal {
				t.Errorf("%s % x: %+v, %d, %v", v, b, h, n, err)
			}
		}
		if _, _, err := ParseHeader(b, V5); !errors.Is(err, &Error{Code: MalformedPacket, Clause: "MQTT-1.5.5-1"}) {
			t.Errorf("% x: %v", b, err)
		}
	}
}

// TestHeaderFifthByte shows that the refusal comes with the fourth byte, before a fifth is there.
func TestHeaderFifthByte(t *testing.T) {
	for _, v := range []Version{0, V31, V311, V5} {
		if _, _, err := ParseHeader([]byte{0x30, 0x80, 0x80, 0x80, 0x80}, v); !errors.Is(err, &Error{Code: MalformedPacket}) {
			t.Errorf("%s: %v", v, err)
		}
		if _, n, err := ParseHeader([]byte{0x30, 0x80, 0x80, 0x80}, v); n != 0 || err != nil {
			t.Errorf("%s: %d, %v", v, n, err)
		}
	}
}

func TestAppendHeaderPanics(t *testing.T) {
	for _, remaining := range []int{-1, MaxRemainingLength + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Remaining Length %d was encoded", remaining)
				}
			}()
			AppendHeader(nil, TypePublish, 0, remaining)
		}()
	}
}

func TestParseRefuses(t *testing.T) {
	if _, err := Parse(0, Header{Type: TypePingreq, Minimal: true}, nil); !errors.Is(err, &Error{Code: ProtocolError, Clause: "MQTT-3.1.0-1"}) {
		t.Errorf("packet before CONNECT: %v", err)
	}
	if _, err := Parse(V5, Header{Type: TypePublish, Remaining: 9, Minimal: true}, []byte("abc")); !errors.Is(err, &Error{Code: MalformedPacket}) {
		t.Errorf("body of another length: %v", err)
	}
	for _, typ := range []PacketType{0, 16} {
		if _, err := Parse(V5, Header{Type: typ}, nil); !errors.Is(err, &Error{Code: MalformedPacket}) {
			t.Errorf("type %d: %v", typ, err)
		}
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		V31.String():                          "3.1",
		V311.String():                         "3.1.1",
		V5.String():                           "5.0",
		Version(9).String():                   "unknown version 9",
		TypeConnect.String():                  "CONNECT",
		TypeAuth.String():                     "AUTH",
		PacketType(77).String():               "packet type 77",
		SessionTakenOver.String():             "Session taken over",
		ReasonCode(0x55).String():             "reason code 0x55",
		PropUser.String():                     "User Property",
		Property(0x7F).String():               "property 0x7F",
		Property(0x04).String():               "property 0x04",
		IdentifierRejected.String():           "identifier rejected",
		ConnectReturnCode(6).String():         "reserved return code",
		(&Error{Code: NotAuthorized}).Error(): "0x87 Not authorized",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
