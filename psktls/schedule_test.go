package psktls

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

// TestKeySchedule13 is a vector of NIST's ACVP for the TLS 1.3 KDF with both a
// pre-shared key and (EC)DHE (TLS-v1.3-KDF-RFC8446, first group). The transcript
// is the concatenation of the "random" values.
func TestKeySchedule13(t *testing.T) {
	psk := unhex(t, "56288B726C73829F7A3E47B103837C8139ACF552E7530C7A710B35ED41191698")
	dhe := unhex(t, "EFFE9EC26AA29FD750DFA6A10B944D74071595B27EE88887D5E11C84590B5CC3")
	transcript := sha256.New()
	s := newSchedule13(sha256.New, psk)
	transcript.Write(unhex(t, "E9137679E582BA7C1DB41CF725F86C6D09C8C05F297BAD9A65B552EAF524FDE4"))
	early := s.next("c e traffic", transcript.Sum(nil))
	expect(t, "client early traffic", early, "3272189698C3594D18F58EFA3F12B638A249515099BE7A2FA9836BABE74F0111")

	transcript.Write(unhex(t, "23ECCFD030790748C8F8D8A656FD98D717F1B62AF3712F97211D2070B499F98A"))
	handshake := s.handshakeKeys(dhe, transcript.Sum(nil))
	expect(t, "client handshake traffic", handshake.client, "B32306C3CE9932C460A1FE6C0F060593974842036B96FA45049B7352E71C2AD2")
	expect(t, "server handshake traffic", handshake.server, "22787F8CA269D34BC549AC8BA19F2040938A3AA370D7CC9D60F720882B88D01B")

	transcript.Write(unhex(t, "C750EDA6696CD101B142BD79E00E6AC8C5F2C0ABC78DD64F4D991326659E9299"))
	application := s.applicationKeys(transcript.Sum(nil))
	expect(t, "client application traffic", application.client, "47D7EA08397B5871154B0FE85584BCC30A87C69E84D69B56007C5B21F76493BA")
	expect(t, "server application traffic", application.server, "EFBDB0C873C0480DA57307083839A8984BE25B9A8545E4FCA029940FE2800565")
	expect(t, "exporter master", application.exporter, "8A43D787EE3804EAD4A2A5B32972F9896B696295645D7222E1FD081DDD939834")
}

// TestTrafficKeys13 is RFC 8448 §3, "derive write traffic keys" of the server's
// handshake.
func TestTrafficKeys13(t *testing.T) {
	secret := unhex(t, "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")
	k, key, iv := newKDF13(sha256.New), make([]byte, 16), make([]byte, 12)
	k.expandLabel(key, secret, labelKey, nil)
	expect(t, "key", key, "3fce516009c21727d0f2e4e86ee403bc")
	k.expandLabel(iv, secret, labelIV, nil)
	expect(t, "iv", iv, "5d313eb2671276ee13000b30")
}

// TestPRF12 is the P_SHA256 vector published on the IETF TLS list.
func TestPRF12(t *testing.T) {
	got := make([]byte, 100)
	prf12(newKeyedHash(sha256.New), got, unhex(t, "9bbe436ba940f017b17652849a71db35"), "test label",
		unhex(t, "a0ba9f936cda311827a6f796ffd5198c"))
	expect(t, "PRF", got, "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a"+
		"6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab"+
		"4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701"+
		"87347b66")
}

func TestPremaster12(t *testing.T) {
	psk := []byte{1, 2, 3}
	if got, want := premaster12(nil, psk), []byte{0, 3, 0, 0, 0, 0, 3, 1, 2, 3}; !bytes.Equal(got, want) {
		t.Errorf("plain PSK %x, want %x", got, want)
	}
	if got, want := premaster12([]byte{9, 8}, psk), []byte{0, 2, 9, 8, 0, 3, 1, 2, 3}; !bytes.Equal(got, want) {
		t.Errorf("ECDHE_PSK %x, want %x", got, want)
	}
}

// TestExporter12Context: no context and an empty one differ, RFC 5705 §4.
func TestExporter12Context(t *testing.T) {
	master, randoms := make([]byte, 48), make([]byte, 64)
	without := exporter12(sha256.New, master, randoms, "x", nil, 32)
	empty := exporter12(sha256.New, master, randoms, "x", []byte{}, 32)
	if bytes.Equal(without, empty) {
		t.Error("no context and empty context give the same")
	}
}

func TestExportLimits(t *testing.T) {
	p := mustConnect(t, serverConfig(), clientConfig())
	for _, c := range []struct {
		label   string
		context int
		length  int
	}{
		{"", 0, 32},
		{"x", 0, 0},
		{"x", 0, MaxExportLen + 1},
		{"x", maxExportContext + 1, 32},
		{"master secret", 0, 32},
		{"key expansion", 0, 32},
		{string(make([]byte, 250)), 0, 32},
	} {
		if _, err := p.server.ExportKeyingMaterial(c.label, make([]byte, c.context), c.length); err == nil {
			t.Errorf("label %q, context %d, length %d: accepted", c.label, c.context, c.length)
		}
	}
}

func expect(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, unhex(t, want)) {
		t.Errorf("%s = %x; want %s", what, got, want)
	}
}
