package mqtt

import (
	"errors"
	"strings"
	"testing"
)

// malformed is a packet that is wrong in exactly one way.
type malformed struct {
	name   string
	v      Version
	b      []byte
	code   ReasonCode
	clause string
}

const (
	v5Truncated  = "MQTT-4.13.1-1"
	v3Truncated  = "MQTT-4.8.0-1"
	propertyRule = "MQTT 5 §2.2.2.2"
)

// connect builds a CONNECT: flags, then everything behind Keep Alive.
func connect(v Version, flags byte, rest ...string) []byte {
	name := "MQTT"
	if v == V31 {
		name = "MQIsdp"
	}
	return frame(0x10, lp(name), string([]byte{byte(v), flags, 0, 60}), strings.Join(rest, ""))
}

func malformedConnects() []malformed {
	return []malformed{
		{"unknown name", V5, frame(0x10, lp("MQTTX"), "\x05\x02\x00\x00\x00", lp("c")), UnsupportedProtocolVersion, "MQTT-3.1.2-1"},
		{"lower case name", V311, frame(0x10, lp("mqtt"), "\x04\x02\x00\x00", lp("c")), UnsupportedProtocolVersion, "MQTT-3.1.2-1"},
		{"level 6", V5, frame(0x10, lp("MQTT"), "\x06\x02\x00\x00\x00", lp("c")), UnsupportedProtocolVersion, "MQTT-3.1.2-2"},
		{"level 0", V5, frame(0x10, lp("MQTT"), "\x00\x02\x00\x00\x00", lp("c")), UnsupportedProtocolVersion, "MQTT-3.1.2-2"},
		{"level 3 of MQTT", V31, frame(0x10, lp("MQTT"), "\x03\x02\x00\x00", lp("c")), UnsupportedProtocolVersion, "MQTT-3.1.2-2"},
		{"level 4 of MQIsdp", V311, frame(0x10, lp("MQIsdp"), "\x04\x02\x00\x00", lp("c")), UnsupportedProtocolVersion, "MQTT-3.1.2-2"},
		{"bridge bit in 5", V5, frame(0x10, lp("MQTT"), "\x85\x02\x00\x00\x00", lp("c")), UnsupportedProtocolVersion, "MQTT-3.1.2-2"},
		{"reserved flag", V311, connect(V311, 0x03, lp("c")), MalformedPacket, "MQTT-3.1.2-3"},
		{"reserved flag", V5, connect(V5, 0x03, "\x00", lp("c")), MalformedPacket, "MQTT-3.1.2-3"},
		{"will QoS 3", V311, connect(V311, 0x1E, lp("c"), lp("w"), lp("")), MalformedPacket, "MQTT-3.1.2-14"},
		{"will QoS 3", V5, connect(V5, 0x1E, "\x00", lp("c"), "\x00", lp("w"), lp("")), MalformedPacket, "MQTT-3.1.2-12"},
		{"will QoS 3", V31, connect(V31, 0x1E, lp("c"), lp("w"), lp("")), MalformedPacket, "MQTT-3.1.2-14"},
		{"will QoS without will", V311, connect(V311, 0x0A, lp("c")), MalformedPacket, "MQTT-3.1.2-13"},
		{"will QoS without will", V5, connect(V5, 0x0A, "\x00", lp("c")), MalformedPacket, "MQTT-3.1.2-11"},
		{"will retain without will", V311, connect(V311, 0x22, lp("c")), MalformedPacket, "MQTT-3.1.2-15"},
		{"will retain without will", V5, connect(V5, 0x22, "\x00", lp("c")), MalformedPacket, "MQTT-3.1.2-13"},
		{"password without user", V311, connect(V311, 0x42, lp("c"), lp("p")), MalformedPacket, "MQTT-3.1.2-22"},
		{"password without user", V31, connect(V31, 0x42, lp("c"), lp("p")), MalformedPacket, "MQTT-3.1.2-22"},
		{"empty id, persistent", V311, connect(V311, 0x00, lp("")), ClientIdentifierNotValid, "MQTT-3.1.3-8"},
		{"empty id", V31, connect(V31, 0x02, lp("")), ClientIdentifierNotValid, "MQTT-3.1.3-8"},
		{"id missing", V5, connect(V5, 0x02, "\x00"), MalformedPacket, v5Truncated},
		{"id of illegal UTF-8", V5, connect(V5, 0x02, "\x00", lp("a\xFF")), MalformedPacket, "MQTT-1.5.4-1"},
		{"id with U+0000", V311, connect(V311, 0x02, lp("a\x00")), MalformedPacket, "MQTT-1.5.3-2"},
		{"user of illegal UTF-8", V5, connect(V5, 0x82, "\x00", lp("c"), lp("\xED\xA0\x80")), MalformedPacket, "MQTT-1.5.4-1"},
		{"user missing", V311, connect(V311, 0x82, lp("c")), MalformedPacket, v3Truncated},
		{"password missing", V311, connect(V311, 0xC2, lp("c"), lp("u")), MalformedPacket, v3Truncated},
		{"password cut", V31, connect(V31, 0xC2, lp("c"), lp("u"), "\x00"), MalformedPacket, v3Truncated},
		{"excess", V311, connect(V311, 0x02, lp("c"), "x"), MalformedPacket, v3Truncated},
		{"excess", V5, connect(V5, 0x02, "\x00", lp("c"), "x"), MalformedPacket, v5Truncated},
		{"will wildcard", V311, connect(V311, 0x06, lp("c"), lp("w/#"), lp("")), TopicNameInvalid, "MQTT-3.3.2-2"},
		{"will wildcard", V5, connect(V5, 0x06, "\x00", lp("c"), "\x00", lp("w/+"), lp("")), TopicNameInvalid, "MQTT-3.3.2-2"},
		{"will topic empty", V5, connect(V5, 0x06, "\x00", lp("c"), "\x00", lp(""), lp("")), TopicNameInvalid, "MQTT-4.7.3-1"},
		{"will payload missing", V5, connect(V5, 0x06, "\x00", lp("c"), "\x00", lp("w")), MalformedPacket, v5Truncated},
		{"will property of PUBLISH", V5, connect(V5, 0x06, "\x00", lp("c"), "\x03\x23\x00\x01", lp("w"), lp("")), MalformedPacket, propertyRule},
		{"will delay twice", V5, connect(V5, 0x06, "\x00", lp("c"), "\x0A\x18\x00\x00\x00\x01\x18\x00\x00\x00\x01", lp("w"), lp("")), ProtocolError, propertyRule},
		{"auth data without method", V5, connect(V5, 0x02, "\x04\x16", lp("x"), lp("c")), ProtocolError, "MQTT 5 §3.1.2.11.10"},
		{"receive maximum 0", V5, connect(V5, 0x02, "\x03\x21\x00\x00", lp("c")), ProtocolError, propertyRule},
		{"maximum packet size 0", V5, connect(V5, 0x02, "\x05\x27\x00\x00\x00\x00", lp("c")), ProtocolError, propertyRule},
		{"request problem info 2", V5, connect(V5, 0x02, "\x02\x17\x02", lp("c")), ProtocolError, propertyRule},
		{"request response info 2", V5, connect(V5, 0x02, "\x02\x19\x02", lp("c")), ProtocolError, propertyRule},
		{"session expiry twice", V5, connect(V5, 0x02, "\x0A\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01", lp("c")), ProtocolError, propertyRule},
		{"property length 5 bytes", V5, connect(V5, 0x02, "\x80\x80\x80\x80\x00", lp("c")), MalformedPacket, v5Truncated},
		{"property length too long", V5, connect(V5, 0x02, "\x7F", lp("c")), MalformedPacket, v5Truncated},
		{"property length not minimal", V5, connect(V5, 0x02, "\x80\x00", lp("c")), MalformedPacket, "MQTT-1.5.5-1"},
		{"user property longer than properties", V5, connect(V5, 0x02, "\x05\x26", lp("ab"), lp("c")), MalformedPacket, v5Truncated},
		{"unknown property", V5, connect(V5, 0x02, "\x02\x7F\x00", lp("c")), MalformedPacket, propertyRule},
		{"property 0", V5, connect(V5, 0x02, "\x02\x00\x00", lp("c")), MalformedPacket, propertyRule},
		{"remaining length not minimal", V5, append([]byte{0x10, 0x8E, 0x00}, connect(V5, 0x02, "\x00", lp("c"))[2:]...), MalformedPacket, "MQTT-1.5.5-1"},
	}
}

func malformedPublishes() []malformed {
	list := []malformed{
		{"empty topic", V31, frame(0x30, lp("")), TopicNameInvalid, "MQTT-4.7.3-1"},
		{"empty topic", V311, frame(0x30, lp("")), TopicNameInvalid, "MQTT-4.7.3-1"},
		{"empty topic without alias", V5, frame(0x30, lp(""), "\x00"), ProtocolError, "MQTT 5 §3.3.2.1"},
		{"topic alias 0", V5, frame(0x30, lp("a"), "\x03\x23\x00\x00"), TopicAliasInvalid, "MQTT-3.3.2-8"},
		{"topic alias twice", V5, frame(0x30, lp("a"), "\x06\x23\x00\x01\x23\x00\x01"), ProtocolError, propertyRule},
		{"subscription identifier 0", V5, frame(0x30, lp("a"), "\x02\x0B\x00"), ProtocolError, propertyRule},
		{"subscription identifier not minimal", V5, frame(0x30, lp("a"), "\x03\x0B\x81\x00"), MalformedPacket, "MQTT-1.5.5-1"},
		{"payload format 2", V5, frame(0x30, lp("a"), "\x02\x01\x02"), ProtocolError, propertyRule},
		{"response topic with wildcard", V5, frame(0x30, lp("a"), "\x06\x08", lp("r/+")), ProtocolError, "MQTT-3.3.2-14"},
		{"response topic empty", V5, frame(0x30, lp("a"), "\x03\x08", lp("")), ProtocolError, "MQTT-3.3.2-14"},
		{"receive maximum", V5, frame(0x30, lp("a"), "\x03\x21\x00\x01"), MalformedPacket, propertyRule},
		{"property length missing", V5, frame(0x30, lp("a")), MalformedPacket, v5Truncated},
		{"property cut", V5, frame(0x30, lp("a"), "\x03\x02\x00\x00", "\x00\x00payload"), MalformedPacket, v5Truncated},
		{"id 0", V311, frame(0x32, lp("a"), "\x00\x00"), MalformedPacket, "MQTT-2.3.1-1"},
		{"id 0", V5, frame(0x34, lp("a"), "\x00\x00\x00"), MalformedPacket, "MQTT-2.2.1-3"},
		{"id missing", V311, frame(0x32, lp("a")), MalformedPacket, v3Truncated},
		{"topic longer than packet", V311, frame(0x30, "\x00\x05abc"), MalformedPacket, v3Truncated},
		{"QoS 3", V311, frame(0x36, lp("a"), "\x00\x01"), MalformedPacket, "MQTT-3.3.1-4"},
		{"DUP with QoS 0", V311, frame(0x38, lp("a")), MalformedPacket, "MQTT-3.3.1-2"},
		{"DUP with QoS 0", V5, frame(0x38, lp("a"), "\x00"), MalformedPacket, "MQTT-3.3.1-2"},
		{"257 user properties", V5, frame(0x30, lp("a"), "\x85\x0A", strings.Repeat("\x26\x00\x00\x00\x00", 257)), MalformedPacket, v5Truncated},
	}
	for _, topic := range []string{"+", "#", "a/#", "a/+/b", "a+", "long-enough-for-words/+", "日本/#"} {
		list = append(list,
			malformed{"wildcard in " + topic, V311, frame(0x30, lp(topic)), TopicNameInvalid, "MQTT-3.3.2-2"},
			malformed{"wildcard in " + topic, V5, frame(0x30, lp(topic), "\x00"), TopicNameInvalid, "MQTT-3.3.2-2"})
	}
	return list
}

func malformedSubscribes() []malformed {
	many := strings.Repeat(lp("a")+"\x00", MaxSubscriptions+1)
	return []malformed{
		{"no filter", V311, frame(0x82, "\x00\x01"), ProtocolError, "MQTT-3.8.3-3"},
		{"no filter", V5, frame(0x82, "\x00\x01\x00"), ProtocolError, "MQTT-3.8.3-2"},
		{"options missing", V311, frame(0x82, "\x00\x01", lp("a")), MalformedPacket, v3Truncated},
		{"options missing", V5, frame(0x82, "\x00\x01\x00", lp("a")), MalformedPacket, v5Truncated},
		{"QoS 3", V311, frame(0x82, "\x00\x01", lp("a"), "\x03"), MalformedPacket, "MQTT-3.8.3-4"},
		{"reserved bits", V311, frame(0x82, "\x00\x01", lp("a"), "\x05"), MalformedPacket, "MQTT-3.8.3-4"},
		{"QoS 3", V5, frame(0x82, "\x00\x01\x00", lp("a"), "\x03"), ProtocolError, "MQTT 5 §3.8.3.1"},
		{"retain handling 3", V5, frame(0x82, "\x00\x01\x00", lp("a"), "\x30"), ProtocolError, "MQTT 5 §3.8.3.1"},
		{"reserved bit 6", V5, frame(0x82, "\x00\x01\x00", lp("a"), "\x40"), MalformedPacket, "MQTT-3.8.3-5"},
		{"reserved bit 7", V5, frame(0x82, "\x00\x01\x00", lp("a"), "\x80"), MalformedPacket, "MQTT-3.8.3-5"},
		{"no local shared", V5, frame(0x82, "\x00\x01\x00", lp("$share/g/a"), "\x04"), ProtocolError, "MQTT-3.8.3-4"},
		{"id 0", V5, frame(0x82, "\x00\x00\x00", lp("a"), "\x00"), MalformedPacket, "MQTT-2.2.1-3"},
		{"two subscription identifiers", V5, frame(0x82, "\x00\x01\x04\x0B\x01\x0B\x02", lp("a"), "\x00"), ProtocolError, propertyRule},
		{"subscription identifier 0", V5, frame(0x82, "\x00\x01\x02\x0B\x00", lp("a"), "\x00"), ProtocolError, propertyRule},
		{"control character", V5, frame(0x82, "\x00\x01\x00", lp("a\x1F"), "\x00"), MalformedPacket, "MQTT-1.5.4-1"},
		{"too many filters", V5, frame(0x82, "\x00\x01\x00", many), QuotaExceeded, "MQTT 5 §3.8.3"},
		{"unsubscribe without filter", V311, frame(0xA2, "\x00\x01"), ProtocolError, "MQTT-3.10.3-2"},
		{"unsubscribe without filter", V5, frame(0xA2, "\x00\x01\x00"), ProtocolError, "MQTT-3.10.3-2"},
		{"unsubscribe id 0", V5, frame(0xA2, "\x00\x00\x00", lp("a")), MalformedPacket, "MQTT-2.2.1-3"},
		{"unsubscribe subscription identifier", V5, frame(0xA2, "\x00\x01\x02\x0B\x01", lp("a")), MalformedPacket, propertyRule},
		{"unsubscribe too many", V5, frame(0xA2, "\x00\x01\x00", strings.Repeat(lp("a"), MaxSubscriptions+1)), QuotaExceeded, "MQTT 5 §3.10.3"},
		{"suback without code", V311, frame(0x90, "\x00\x01"), ProtocolError, "MQTT-3.8.4-5"},
		{"suback code 3", V311, frame(0x90, "\x00\x01\x03"), ProtocolError, "MQTT-3.9.3-2"},
		{"suback code of 5", V311, frame(0x90, "\x00\x01\x87"), ProtocolError, "MQTT-3.9.3-2"},
		{"suback code of PUBACK", V5, frame(0x90, "\x00\x01\x00\x10"), ProtocolError, "MQTT-3.9.3-2"},
		{"unsuback with body", V311, frame(0xB0, "\x00\x01\x00"), MalformedPacket, v3Truncated},
		{"unsuback without code", V5, frame(0xB0, "\x00\x01\x00"), ProtocolError, "MQTT-3.11.3-1"},
		{"unsuback granted", V5, frame(0xB0, "\x00\x01\x00\x01"), ProtocolError, "MQTT-3.11.3-2"},
	}
}

func malformedOthers() []malformed {
	list := []malformed{
		{"connack flags", V311, frame(0x20, "\x02\x00"), MalformedPacket, "MQTT 3.1.1 §3.2.2.1"},
		{"connack flags", V5, frame(0x20, "\x02\x00\x00"), MalformedPacket, "MQTT-3.2.2-1"},
		{"connack return code 6", V311, frame(0x20, "\x00\x06"), ProtocolError, "MQTT 3.1.1 §3.2.2.3"},
		{"connack session in refusal", V311, frame(0x20, "\x01\x05"), ProtocolError, "MQTT-3.2.2-4"},
		{"connack session in refusal", V5, frame(0x20, "\x01\x87\x00"), ProtocolError, "MQTT-3.2.2-6"},
		{"connack code of DISCONNECT", V5, frame(0x20, "\x00\x8E\x00"), ProtocolError, "MQTT-3.2.2-8"},
		{"connack maximum QoS 2", V5, frame(0x20, "\x00\x00\x02\x24\x02"), ProtocolError, propertyRule},
		{"connack request problem info", V5, frame(0x20, "\x00\x00\x02\x17\x01"), MalformedPacket, propertyRule},
		{"pingreq with body", V311, frame(0xC0, "x"), MalformedPacket, v3Truncated},
		{"pingreq with body", V5, frame(0xC0, "x"), MalformedPacket, v5Truncated},
		{"pingresp with body", V5, frame(0xD0, "x"), MalformedPacket, v5Truncated},
		{"disconnect with body", V311, frame(0xE0, "\x00"), MalformedPacket, v3Truncated},
		{"disconnect unknown code", V5, frame(0xE0, "\x05"), ProtocolError, "MQTT-3.14.2-1"},
		{"disconnect code of CONNACK", V5, frame(0xE0, "\x86"), ProtocolError, "MQTT-3.14.2-1"},
		{"disconnect property length", V5, frame(0xE0, "\x00\x05"), MalformedPacket, v5Truncated},
		{"disconnect property length of 5 bytes", V5, frame(0xE0, "\x00\xFF\xFF\xFF\xFF\x7F"), MalformedPacket, v5Truncated},
		{"disconnect receive maximum", V5, frame(0xE0, "\x00\x03\x21\x00\x01"), MalformedPacket, propertyRule},
		{"auth in 3.1.1", V311, frame(0xF0), MalformedPacket, "MQTT 3.1.1 §2.2.1"},
		{"auth without method", V5, frame(0xF0, "\x18\x00"), ProtocolError, "MQTT 5 §3.15.2.2.2"},
		{"auth data without method", V5, frame(0xF0, "\x00\x04\x16", lp("x")), ProtocolError, "MQTT 5 §3.15.2.2.2"},
		{"auth code", V5, frame(0xF0, "\x80\x04\x15", lp("x")), ProtocolError, "MQTT-3.15.2-1"},
		{"auth without properties", V5, frame(0xF0, "\x00"), MalformedPacket, v5Truncated},
		{"type 0", V311, frame(0x00), MalformedPacket, "MQTT 3.1.1 §2.2.1"},
		{"remaining length of 5 bytes", V5, []byte{0xC0, 0x80, 0x80, 0x80, 0x80, 0x00}, MalformedPacket, "MQTT 5 §1.5.5"},
		{"remaining length of 5 bytes", V311, []byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, MalformedPacket, "MQTT 3.1.1 §2.2.3"},
		{"remaining length not minimal", V5, []byte{0xC0, 0x80, 0x00}, MalformedPacket, "MQTT-1.5.5-1"},
	}
	acks := []struct {
		first  byte
		name   string
		clause string
	}{
		{0x40, "puback", "MQTT-3.4.2-1"},
		{0x50, "pubrec", "MQTT-3.5.2-1"},
		{0x62, "pubrel", "MQTT-3.6.2-1"},
		{0x70, "pubcomp", "MQTT-3.7.2-1"},
	}
	for _, a := range acks {
		list = append(list,
			malformed{a.name + " id 0", V311, frame(a.first, "\x00\x00"), MalformedPacket, "MQTT-2.3.1-1"},
			malformed{a.name + " id 0", V5, frame(a.first, "\x00\x00"), MalformedPacket, "MQTT-2.2.1-3"},
			malformed{a.name + " long", V311, frame(a.first, "\x00\x01\x00"), MalformedPacket, v3Truncated},
			malformed{a.name + " code", V5, frame(a.first, "\x00\x01\x8E"), ProtocolError, a.clause},
			malformed{a.name + " reason string twice", V5, frame(a.first, "\x00\x01\x00\x06\x1F\x00\x00\x1F\x00\x00"), ProtocolError, propertyRule},
			malformed{a.name + " content type", V5, frame(a.first, "\x00\x01\x00\x03\x03\x00\x00"), MalformedPacket, propertyRule},
			malformed{a.name + " excess", V5, frame(a.first, "\x00\x01\x00\x00\x00"), MalformedPacket, v5Truncated},
			malformed{a.name + " one byte", V5, frame(a.first, "\x01"), MalformedPacket, v5Truncated})
	}
	return list
}

func TestMalformed(t *testing.T) {
	var list []malformed
	list = append(list, malformedConnects()...)
	list = append(list, malformedPublishes()...)
	list = append(list, malformedSubscribes()...)
	list = append(list, malformedOthers()...)
	for _, c := range list {
		t.Run(c.v.String()+" "+c.name, func(t *testing.T) {
			v := c.v
			if c.b[0]>>4 == byte(TypeConnect) {
				v = 0 // a server does not know the version yet
			}
			p, err := parseFrame(c.b, v)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, %v", p, err)
			}
			if e.Code != c.code || e.Clause != c.clause {
				t.Errorf("got %v, want 0x%02X [%s]", e, uint8(c.code), c.clause)
			}
			if !errors.Is(err, &Error{Code: c.code}) || !errors.Is(err, &Error{Code: c.code, Clause: c.clause}) ||
				errors.Is(err, &Error{Code: c.code, Clause: "MQTT-0.0.0-0"}) || errors.Is(err, &Error{Code: Success}) {
				t.Errorf("errors.Is does not follow code and clause of %v", e)
			}
		})
	}
	t.Logf("%d malformed packets", len(list))
}

// illegalTexts are strings that no UTF-8 Encoded String may be.
var illegalTexts = []string{
	"\x00", "a\x00b", "\x01", "\t", "\x1F", "\x7F", "\u0080", "\u009F", "\uFFFE", "\uFFFF", "\uFDD0", "\uFDEF",
	"\U0001FFFE", "\U0010FFFF", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x80\x80\x80",
	"\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\x80", "\xBF", "\xC3", "\xE6\x97", "\xF0\x9F\x98", "\xFE", "\xFF", "ok\xC3(",
}

// legalTexts are strings that look suspicious and are legal.
var legalTexts = []string{
	"", " ", "a b", "()[]{}", "\uFEFF", "\uFFFD", "\u00A0", "\uD7FF", "\uE000", "\uFDCF", "\uFDF0", "\U0001F600",
	"\U00010000", "\U0010FFFD", "~", "$SYS/x", "日本語", "%c%u", "\"quoted\"", "'; drop",
}

// TestText puts every illegal string in every text field, at several places of the eight byte words that the fast path
// looks at.
func TestText(t *testing.T) {
	fields := map[string]func(s string) []byte{
		"topic":           func(s string) []byte { return frame(0x30, lp(s), "\x00") },
		"client id":       func(s string) []byte { return connect(V5, 0x02, "\x00", lp(s)) },
		"user name":       func(s string) []byte { return connect(V5, 0x82, "\x00", lp("c"), lp(s)) },
		"will topic":      func(s string) []byte { return connect(V5, 0x06, "\x00", lp("c"), "\x00", lp(s), lp("")) },
		"filter":          func(s string) []byte { return frame(0x82, "\x00\x01\x00", lp(s), "\x00") },
		"unsubscribe":     func(s string) []byte { return frame(0xA2, "\x00\x01\x00", lp(s)) },
		"user prop key":   func(s string) []byte { return withProperty(0x30, lp("a"), "\x26"+lp(s)+lp("")) },
		"user prop value": func(s string) []byte { return withProperty(0x30, lp("a"), "\x26"+lp("")+lp(s)) },
		"content type":    func(s string) []byte { return withProperty(0x30, lp("a"), "\x03"+lp(s)) },
		"reason string":   func(s string) []byte { return withProperty(0xE0, "\x00", "\x1F"+lp(s)) },
		"auth method":     func(s string) []byte { return withProperty(0xF0, "\x18", "\x15"+lp(s)) },
	}
	for field, build := range fields {
		for pad := range 9 {
			before, after := strings.Repeat("p", pad), strings.Repeat("q", 8-pad)
			for _, s := range illegalTexts {
				if _, err := parseFrame(build(before+s+after), V5); !errors.Is(err, &Error{Code: MalformedPacket}) {
					t.Errorf("%s %q: %v", field, before+s+after, err)
				}
				if ValidString(before + s + after) {
					t.Errorf("ValidString(%q)", before+s+after)
				}
			}
			for _, s := range legalTexts {
				if _, err := parseFrame(build(before+s+after), V5); err != nil {
					t.Errorf("%s %q: %v", field, before+s+after, err)
				}
				if !ValidString(before + s + after) {
					t.Errorf("ValidString(%q) is false", before+s+after)
				}
			}
		}
	}
	if ValidString(strings.Repeat("a", 65536)) || !ValidString(strings.Repeat("a", 65535)) {
		t.Error("ValidString does not know the largest length")
	}
}

// withProperty builds a version 5 packet of a variable header and one property.
func withProperty(first byte, header, property string) []byte {
	return frame(first, header, string([]byte{byte(len(property))}), property)
}
