package psktls

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

// protections gives matching sending and receiving halves for a suite.
func protections(t testing.TB, s *suite) (send, receive *protection) {
	t.Helper()
	send, receive = &protection{}, &protection{}
	for _, p := range []*protection{send, receive} {
		var err error
		if s.version == VersionTLS13 {
			err = p.setSecret13(newKDF13(s.newHash), s, bytes.Repeat([]byte{7}, s.hash.Size()))
		} else {
			err = p.setKeys12(s, bytes.Repeat([]byte{7}, s.keyLen), bytes.Repeat([]byte{9}, s.ivLen))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return send, receive
}

func TestRecordsOfEverySuite(t *testing.T) {
	for _, s := range allSuites {
		t.Run(s.name, func(t *testing.T) {
			send, receive := protections(t, s)
			nonces := map[string]bool{}
			for _, n := range []int{0, 1, 15, 16, 17, 1000, maxPlaintext} {
				payload := bytes.Repeat([]byte{0x42}, n)
				rec, err := send.seal(nil, recordApplicationData, VersionTLS12, payload)
				if err != nil || len(rec) != n+send.overhead() {
					t.Fatalf("%d octets: %d sealed, %v", n, len(rec), err)
				}
				nonces[string(send.nonce[:])] = true
				if s.explicit {
					nonces[string(rec[recordHeaderLen:recordHeaderLen+explicitLen])] = true
				}
				typ, n2, err := parseRecordHeader(rec)
				if err != nil || typ != recordApplicationData || n2 != len(rec)-recordHeaderLen {
					t.Fatalf("header: %d, %d, %v", typ, n2, err)
				}
				for _, at := range []int{0, recordHeaderLen, len(rec) - 1} {
					if at == 0 && s.version == VersionTLS12 {
						continue // the type changes below
					}
					bad := bytes.Clone(rec)
					bad[at] ^= 0x01
					if _, _, err := receive.open(bad); err == nil {
						t.Fatalf("a changed octet %d opens", at)
					}
				}
				typ, got, err := receive.open(rec)
				if err != nil || typ != recordApplicationData || !bytes.Equal(got, payload) {
					t.Fatalf("%d octets: type %d, %v", n, typ, err)
				}
			}
			want := 7
			if s.explicit {
				want = 14
			}
			if len(nonces) != want {
				t.Errorf("%d different nonces and explicit parts, want %d", len(nonces), want)
			}
			rec, err := send.seal(nil, recordAlert, VersionTLS12, []byte{1, 0})
			if err != nil {
				t.Fatal(err)
			}
			if typ, _, err := receive.open(bytes.Clone(rec)); err != nil || typ != recordAlert {
				t.Errorf("alert: type %d, %v", typ, err)
			}
			if _, _, err := receive.open(rec); err == nil {
				t.Error("a replayed record opens")
			}
		})
	}
}

func TestRecordTypeIsAuthenticated12(t *testing.T) {
	send, receive := protections(t, suiteByID(TLS_PSK_WITH_AES_128_CCM_8))
	rec, err := send.seal(nil, recordApplicationData, VersionTLS12, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	rec[0] = byte(recordHandshake)
	if _, _, err := receive.open(rec); err == nil {
		t.Error("a record of another type opens")
	}
}

func TestRecordLimits(t *testing.T) {
	header := func(typ byte, n int) []byte { return []byte{typ, 3, 3, byte(n >> 8), byte(n)} }
	for _, c := range []struct {
		name   string
		header []byte
		alert  Alert
	}{
		{"too long", header(23, maxCiphertext+1), AlertRecordOverflow},
		{"type 19", header(19, 1), AlertUnexpectedMessage},
		{"heartbeat", header(24, 1), AlertUnexpectedMessage},
		{"MQTT CONNECT", []byte{0x10, 0x0e, 0, 4, 'M'}, AlertUnexpectedMessage},
		{"HTTP", []byte("GET /"), AlertUnexpectedMessage},
		{"SSL 2", []byte{0x80, 0x2e, 1, 3, 1}, AlertUnexpectedMessage},
	} {
		if _, _, err := parseRecordHeader(c.header); err == nil {
			t.Errorf("%s: accepted", c.name)
		} else {
			wantCheck(t, err, CheckRecord, c.alert)
		}
	}
	// One octet too many of content, properly protected.
	for _, id := range []uint16{TLS_AES_128_GCM_SHA256, TLS_PSK_WITH_AES_128_GCM_SHA256, TLS_PSK_WITH_CHACHA20_POLY1305_SHA256} {
		send, receive := protections(t, suiteByID(id))
		rec, err := send.seal(nil, recordApplicationData, VersionTLS12, make([]byte, maxPlaintext+1))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = receive.open(rec)
		wantCheck(t, err, CheckRecord, AlertRecordOverflow)
	}
	plain := &protection{}
	_, _, err := plain.open(append(header(22, maxPlaintext+1), make([]byte, maxPlaintext+1)...))
	wantCheck(t, err, CheckRecord, AlertRecordOverflow)
	// TLS 1.2 records too short for nonce and tag.
	_, receive := protections(t, suiteByID(TLS_PSK_WITH_AES_128_GCM_SHA256))
	_, _, err = receive.open(append(header(23, 23), make([]byte, 23)...))
	wantCheck(t, err, CheckRecord, AlertBadRecordMAC)
}

// TestPaddingOnly: RFC 8446 §5.4, a record without a type octet.
func TestPaddingOnly(t *testing.T) {
	send, receive := protections(t, suiteByID(TLS_AES_128_GCM_SHA256))
	rec, err := send.seal(nil, 0, VersionTLS12, make([]byte, 10))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = receive.open(rec)
	wantCheck(t, err, CheckRecord, AlertUnexpectedMessage)
}

// TestPaddingIsRemoved: a peer may pad, RFC 8446 §5.4.
func TestPaddingIsRemoved(t *testing.T) {
	send, receive := protections(t, suiteByID(TLS_AES_128_GCM_SHA256))
	rec, err := send.seal(nil, 0, VersionTLS12, append([]byte("data\x17"), make([]byte, 30)...))
	if err != nil {
		t.Fatal(err)
	}
	typ, got, err := receive.open(rec)
	if err != nil || typ != recordApplicationData || string(got) != "data" {
		t.Errorf("type %d, %q, %v", typ, got, err)
	}
}

func TestSequenceNumberNeverWraps(t *testing.T) {
	for _, id := range []uint16{TLS_AES_128_GCM_SHA256, TLS_PSK_WITH_AES_128_GCM_SHA256} {
		send, _ := protections(t, suiteByID(id))
		send.seq = math.MaxUint64
		_, err := send.seal(nil, recordApplicationData, VersionTLS12, []byte("x"))
		if !errors.Is(err, CheckKeyLimit) {
			t.Errorf("%v, want the key limit", err)
		}
	}
}

func TestExplicitNonceIsTheSequenceNumber(t *testing.T) {
	send, _ := protections(t, suiteByID(TLS_PSK_WITH_AES_256_GCM_SHA384))
	for want := range uint64(100) {
		rec, err := send.seal(nil, recordApplicationData, VersionTLS12, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint64(rec[recordHeaderLen:]); got != want {
			t.Fatalf("explicit nonce %d, want %d", got, want)
		}
	}
}

// TestSealDoesNotAllocate pins the cost of a record: only its buffer.
func TestSealDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates for itself
	}
	for _, id := range []uint16{TLS_AES_128_GCM_SHA256, TLS_CHACHA20_POLY1305_SHA256, TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256, TLS_AES_128_CCM_SHA256} {
		send, _ := protections(t, suiteByID(id))
		buf, payload := make([]byte, 0, 2048), make([]byte, 100)
		if n := testing.AllocsPerRun(100, func() { _, _ = send.seal(buf, recordApplicationData, VersionTLS12, payload) }); n != 0 {
			t.Errorf("%s: %v allocations a record", CipherSuiteName(id), n)
		}
	}
}
