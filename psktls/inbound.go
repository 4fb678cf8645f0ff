package psktls

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

// maxUseless bounds the records and messages in succession that carry nothing
// to the application: empty records, KeyUpdates, tickets, warnings, ignored
// change_cipher_specs. It ends floods that cost the peer nothing.
const maxUseless = 16

// maxEmptyReads bounds Reads of the transport that give neither data nor error.
const maxEmptyReads = 100

// inbound is the receiving half of a connection. mu guards everything; during
// the handshake it is held by the handshake.
type inbound struct {
	mu sync.Mutex
	protection

	err     error  // final: what every further Read gives
	raw     []byte // borrowed; raw[off:] has not been opened yet
	off     int
	plain   []byte // part of raw: content not delivered yet
	hand    []byte // handshake octets that do not form a whole message yet
	size    int    // of the last record, header included
	useless int    // see maxUseless
	hold    bool   // keep raw between records: a handshake is under way

	// Handshake only.
	dropCCS   bool // TLS 1.3: ignore change_cipher_spec, RFC 8446 §5
	skipEarly int  // octets of refused early data that may still be skipped, RFC 8446 §4.2.10

	header [recordHeaderLen]byte
}

// nextRecord gives the content of the next record, decrypted in place; it is
// valid until the next call. scratch may be used for the first read from the
// transport, so that a connection waiting for data holds no buffer of its own.
func (in *inbound) nextRecord(transport io.Reader, scratch []byte) (recordType, []byte, error) {
	for {
		if rest := in.raw[in.off:]; len(rest) >= recordHeaderLen {
			typ, n, err := parseRecordHeader(rest)
			if err != nil {
				return 0, nil, err
			}
			if n += recordHeaderLen; len(rest) >= n {
				in.off += n
				in.size = n
				return in.openRecord(typ, rest[:n])
			}
		}
		if err := in.fill(transport, scratch); err != nil {
			return 0, nil, err
		}
	}
}

// openRecord opens one whole record, with the two exceptions of a handshake.
func (in *inbound) openRecord(typ recordType, rec []byte) (recordType, []byte, error) {
	if in.aead != nil && in.suite.version == VersionTLS13 && in.hold {
		switch {
		case typ == recordChangeCipherSpec && in.dropCCS:
			return typ, rec[recordHeaderLen:], nil
		case typ == recordAlert && in.seq == 0:
			// A peer that refuses our first flight may have no keys yet. The
			// alert proves nothing; it only explains why we stop.
			return typ, rec[recordHeaderLen:], nil
		}
	}
	return in.open(rec)
}

// fill reads once from the transport behind raw[off:].
func (in *inbound) fill(transport io.Reader, scratch []byte) error {
	rest := in.raw[in.off:]
	if len(rest) == 0 && !in.hold {
		return in.fillIdle(transport, scratch)
	}
	if in.off > 0 {
		clear(in.raw[copy(in.raw, rest):])
		in.raw, in.off = in.raw[:len(rest)], 0
	}
	switch {
	case in.raw == nil:
		in.raw = getBuffer(smallBufferLen)
	case len(in.raw) == cap(in.raw):
		// Only now: a header that announces a large record costs its sender
		// the octets before it costs us the memory.
		larger := append(getBuffer(largeBufferLen), in.raw...)
		putBuffer(in.raw)
		in.raw = larger
	}
	n, err := readSome(transport, in.raw[len(in.raw):cap(in.raw)])
	in.raw = in.raw[:len(in.raw)+n]
	return err
}

// fillIdle waits without a buffer and borrows one for what has arrived.
func (in *inbound) fillIdle(transport io.Reader, scratch []byte) error {
	in.release()
	if len(scratch) < recordHeaderLen {
		scratch = in.header[:]
	}
	n, err := readSome(transport, scratch[:min(len(scratch), largeBufferLen)])
	if err == nil {
		in.raw = append(getBuffer(n), scratch[:n]...)
	}
	return err
}

// release gives the buffer back.
func (in *inbound) release() {
	if in.raw != nil {
		putBuffer(in.raw)
	}
	in.raw, in.plain, in.off = nil, nil, 0
}

// readSome reads at least one octet; data that came with an error comes first.
func readSome(transport io.Reader, b []byte) (int, error) {
	for range maxEmptyReads {
		n, err := transport.Read(b)
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// waste counts something useless and refuses a flood of it.
func (in *inbound) waste(what string) error {
	if in.useless++; in.useless > maxUseless {
		return refuse(CheckFlood, AlertUnexpectedMessage,
			fmt.Sprintf("at most %d records without content in succession", maxUseless), "one more: "+what)
	}
	return nil
}

// nextMessage takes one whole handshake message off hand; nil if there is none
// yet. The length is checked before more is collected.
func (in *inbound) nextMessage() ([]byte, error) {
	if len(in.hand) < messageHeaderLen {
		return nil, nil
	}
	n := messageHeaderLen + int(in.hand[1])<<16 + int(in.hand[2])<<8 + int(in.hand[3])
	if n > maxMessage {
		return nil, refuse(CheckMessage, AlertDecodeError, fmt.Sprintf("%s of at most %d octets",
			messageName(in.hand[0]), maxMessage), fmt.Sprintf("%d", n))
	}
	if len(in.hand) < n {
		return nil, nil
	}
	if len(in.hand) == n {
		msg := in.hand
		in.hand = nil
		return msg, nil
	}
	msg := bytes.Clone(in.hand[:n])
	in.hand = in.hand[n:]
	return msg, nil
}

// errCloseNotify is the peer's orderly end; Read turns it into io.EOF, which
// must not be confused with the end of the transport.
var errCloseNotify = errors.New("psktls: close_notify")

// alert interprets an alert record: nil for one to ignore, errCloseNotify, or
// an *Error.
func (in *inbound) alert(payload []byte, version uint16) error {
	if len(payload) != 2 {
		return malformed("alert")
	}
	level, a := payload[0], Alert(payload[1])
	switch {
	case a == AlertCloseNotify:
		return errCloseNotify
	case a == AlertUserCanceled, version == VersionTLS12 && level == alertLevelWarning:
		return in.waste("alert " + a.String())
	}
	return &Error{Check: CheckPeerAlert, Alert: a, Remote: true, Found: a.String()}
}

// collect takes the octets of a handshake record.
func (in *inbound) collect(payload []byte) error {
	if len(payload) == 0 {
		return refuse(CheckRecord, AlertUnexpectedMessage, "handshake octets", "an empty handshake record")
	}
	in.hand = append(in.hand, payload...)
	return nil
}

// skipsEarly reports whether a failed record is refused early data, and counts
// it: the records protected with keys we do not have, until the first one that
// opens.
func (in *inbound) skipsEarly(err error) bool {
	if in.skipEarly <= 0 || !isBadMAC(err) {
		return false
	}
	in.skipEarly -= in.size
	return in.skipEarly >= 0
}
