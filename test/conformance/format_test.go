package conformance_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// badTexts are strings that no text field may hold: ill-formed, surrogates, U+0000.
var badTexts = []string{"a\xFFb", "a\xC0\x80", "\xED\xA0\x80", "\xED\xBF\xBF", "a\xE6\x97", "a\x00b"}

// TestTextFields puts ill-formed text into every text field of CONNECT, PUBLISH, SUBSCRIBE and UNSUBSCRIBE.
func TestTextFields(t *testing.T) {
	conformance.Covers(t, "MQTT-1.5.4-1", "MQTT-1.5.4-2", "MQTT-1.5.7-1", "MQTT-3.1.3-4", "MQTT-3.1.3-11", "MQTT-3.1.3-12",
		"MQTT-3.3.2-1", "MQTT-3.3.2-13", "MQTT-3.3.2-19", "MQTT-3.8.3-1", "MQTT-3.10.3-1", "MQTT-4.7.3-2")
	conformance.Covers(t, "MQTT311-1.5.3-1", "MQTT311-1.5.3-2", "MQTT311-3.1.3-4", "MQTT311-3.1.3-10", "MQTT311-3.1.3-11",
		"MQTT311-3.3.2-1", "MQTT311-3.8.3-1", "MQTT311-3.10.3-1", "MQTT311-4.7.3-2")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		for _, bad := range badTexts {
			s.rejects(t, v, "client identifier", connectFrame(v, 0x02, lp(bad)), mqtt.MalformedPacket)
			s.rejects(t, v, "will topic", connectFrame(v, 0x06, lp("c"), noProps(v), lp(bad), lp("")), mqtt.MalformedPacket)
			s.rejects(t, v, "user name", connectFrame(v, 0x82, lp("c"), lp(bad)), mqtt.MalformedPacket)
			s.breaks(t, v, "topic name", frame(0x30, lp(bad), noProps(v)), mqtt.MalformedPacket)
			s.breaks(t, v, "subscribe", frame(0x82, "\x00\x01", noProps(v), lp(bad), "\x00"), mqtt.MalformedPacket)
			s.breaks(t, v, "unsubscribe", frame(0xA2, "\x00\x01", noProps(v), lp(bad)), mqtt.MalformedPacket)
			if v != mqtt.V5 {
				continue
			}
			for name, property := range map[string]string{
				"response topic": "\x08" + lp(bad), "content type": "\x03" + lp(bad),
				"user property name": "\x26" + lp(bad) + lp(""), "user property value": "\x26" + lp("") + lp(bad),
			} {
				b := frame(0x30, lp("a"), string([]byte{byte(len(property))}), property)
				s.breaks(t, v, name, b, mqtt.MalformedPacket)
			}
		}
	})
}

// TestByteOrderMark: EF BB BF is a character like any other.
func TestByteOrderMark(t *testing.T) {
	conformance.Covers(t, "MQTT-1.5.4-3", "MQTT-4.7.3-4", "MQTT311-1.5.3-3", "MQTT311-4.7.3-4")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		c := s.connect(t, v, "c")
		c.subscribe(0, "\uFEFFa", "x/\uFEFF", "\u00e9") // é as one character
		c.publish("a", "no", 0)
		c.publish("e\u0301", "no", 0) // é as two characters
		c.send(&mqtt.Publish{Topic: "\uFEFFa", Payload: []byte("yes")})
		c.message("\uFEFFa", "yes")
		c.send(&mqtt.Publish{Topic: "x/\uFEFF", Payload: []byte("yes")})
		c.message("x/\uFEFF", "yes")
		c.quiet()
	})
}

// wrongFlags are the packets whose fixed header has reserved bits, with a body that would be accepted.
func wrongFlags(v mqtt.Version) map[mqtt.PacketType]string {
	return map[mqtt.PacketType]string{
		mqtt.TypePuback: "\x00\x01", mqtt.TypePubrec: "\x00\x01", mqtt.TypePubrel: "\x00\x01", mqtt.TypePubcomp: "\x00\x01",
		mqtt.TypeSubscribe: "\x00\x01" + noProps(v) + lp("a") + "\x00", mqtt.TypeUnsubscribe: "\x00\x01" + noProps(v) + lp("a"),
		mqtt.TypePingreq: "", mqtt.TypeDisconnect: "",
	}
}

// TestReservedFlags sends every packet with every wrong value of its flags.
func TestReservedFlags(t *testing.T) {
	conformance.Covers(t, "MQTT-2.1.3-1", "MQTT-3.6.1-1", "MQTT-3.8.1-1", "MQTT-3.10.1-1", "MQTT-3.14.1-1", "MQTT-3.15.1-1")
	conformance.Covers(t, "MQTT311-2.2.2-1", "MQTT311-2.2.2-2", "MQTT311-3.6.1-1", "MQTT311-3.8.1-1", "MQTT311-3.10.1-1",
		"MQTT311-3.14.1-1", "MQTT311-4.8.0-1")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		packets := wrongFlags(v)
		if v == mqtt.V5 {
			packets[mqtt.TypeAuth] = "\x18\x08\x15" + lp("STEPS")
		}
		for typ, body := range packets {
			right := byte(0)
			if typ == mqtt.TypePubrel || typ == mqtt.TypeSubscribe || typ == mqtt.TypeUnsubscribe {
				right = 2
			}
			for flags := range byte(16) {
				if flags != right {
					s.breaks(t, v, typ.String(), frame(byte(typ)<<4|flags, body), mqtt.MalformedPacket)
				}
			}
		}
		for flags := byte(1); flags < 16; flags++ {
			b := connectFrame(v, 0x02, lp("c"))
			b[0] |= flags
			c := s.dialRaw(t, v)
			c.write(b)
			c.closed()
		}
	})
}

// TestOnTheWire compares what the broker sends byte by byte: no Packet Identifier with QoS 0, an empty property list as
// a single zero, identifiers repeated, no flags that are not due, and nothing beyond the standard.
func TestOnTheWire(t *testing.T) {
	conformance.Covers(t, "MQTT-2.2.1-2", "MQTT-2.2.1-5", "MQTT-2.2.1-6", "MQTT-2.2.2-1", "MQTT-3.3.1-2", "MQTT-3.8.4-2",
		"MQTT-3.12.4-1", "MQTT-4.3.1-1", "MQTT-3.10.4-5")
	conformance.Covers(t, "MQTT311-2.3.1-5", "MQTT311-2.3.1-6", "MQTT311-2.3.1-7", "MQTT311-3.3.1-2", "MQTT311-3.8.4-2",
		"MQTT311-3.12.4-1", "MQTT311-4.3.1-1", "MQTT311-3.10.4-4", "MQTT311-3.10.4-5", "MQTT311-7.0.0-2")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		c := s.connect(t, v, "c")
		code := func(v5 string) string { // a reason code that only version 5 has
			if v == mqtt.V5 {
				return v5
			}
			return ""
		}
		for _, step := range []struct {
			name         string
			sent, answer []byte
		}{
			{"subscribe", frame(0x82, "\x12\x34", noProps(v), lp("a"), "\x01"), frame(0x90, "\x12\x34", noProps(v), "\x01")},
			{"QoS 0", frame(0x30, lp("a"), noProps(v), "x"), frame(0x30, lp("a"), noProps(v), "x")},
			{"QoS 1 refused by nobody", frame(0x32, lp("b"), "\xAB\xCD", noProps(v), "x"), frame(0x40, "\xAB\xCD", code("\x10"))},
			{"QoS 2", frame(0x34, lp("b"), "\xFE\xDC", noProps(v), "x"), frame(0x50, "\xFE\xDC", code("\x10"))},
			{"release", frame(0x62, "\xFE\xDC"), frame(0x70, "\xFE\xDC")},
			{"ping", frame(0xC0), frame(0xD0)},
			{"unsubscribe", frame(0xA2, "\x56\x78", noProps(v), lp("a")), frame(0xB0, "\x56\x78", noProps(v), code("\x00"))},
			{"unsubscribe nothing", frame(0xA2, "\x56\x79", noProps(v), lp("n")), frame(0xB0, "\x56\x79", noProps(v), code("\x11"))},
		} {
			c.write(step.sent)
			got := make([]byte, len(step.answer))
			_ = c.nc.SetReadDeadline(time.Now().Add(patience))
			if _, err := io.ReadFull(c.nc, got); err != nil || !bytes.Equal(got, step.answer) {
				t.Fatalf("%s: got % x, %v, want % x", step.name, got, err, step.answer)
			}
		}
	})
}

// TestPacketIdentifierZero: where a Packet Identifier is due, it is not zero.
func TestPacketIdentifierZero(t *testing.T) {
	conformance.Covers(t, "MQTT311-2.3.1-1")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		for name, b := range map[string][]byte{
			"publish":     frame(0x32, lp("a"), "\x00\x00", noProps(v)),
			"subscribe":   frame(0x82, "\x00\x00", noProps(v), lp("a"), "\x00"),
			"unsubscribe": frame(0xA2, "\x00\x00", noProps(v), lp("a")),
		} {
			s.breaks(t, v, name, b, mqtt.MalformedPacket)
		}
	})
}

// TestLongNames: 65,535 bytes are the most a name or filter can have, because the length in front has two bytes; and
// that many are accepted.
func TestLongNames(t *testing.T) {
	conformance.Covers(t, "MQTT-4.7.3-3", "MQTT311-4.7.3-3")
	both(t, func(t *testing.T, s *server, v mqtt.Version) {
		long := strings.Repeat("n", 65535)
		c := s.connect(t, v, "c")
		c.subscribe(0, long)
		c.send(&mqtt.Publish{Topic: long, Payload: []byte("x")})
		c.message(long, "x")
		tooLong := &mqtt.Publish{Topic: strings.Repeat("n", 65536)}
		if b, err := tooLong.Append(nil, v); err == nil {
			t.Errorf("a name of 65,536 bytes was encoded in %d bytes", len(b))
		}
	})
}
