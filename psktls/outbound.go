package psktls

import (
	"io"
	"sync"
)

// outbound is the sending half of a connection. mu guards everything; it is
// held while a record is being written, possibly for long.
type outbound struct {
	mu sync.Mutex
	protection

	err    error  // final: what every further Write gives
	flight []byte // handshake records not sent yet
}

// queue seals one record into the present flight.
func (out *outbound) queue(typ recordType, wireVersion uint16, payload []byte) error {
	for {
		n := min(len(payload), maxPlaintext)
		var err error
		if out.flight, err = out.seal(out.flight, typ, wireVersion, payload[:n]); err != nil {
			return err
		}
		if payload = payload[n:]; len(payload) == 0 {
			return nil
		}
	}
}

// flush sends the flight with one write.
func (out *outbound) flush(transport io.Writer) error {
	if len(out.flight) == 0 {
		return nil
	}
	_, err := transport.Write(out.flight)
	out.flight = out.flight[:0]
	return err
}

// writeRecord seals and sends one record. A failure is final: the peer may have
// seen a part of the record.
func (out *outbound) writeRecord(transport io.Writer, typ recordType, payload []byte) error {
	buf := getBuffer(len(payload) + out.overhead())
	buf, err := out.seal(buf, typ, VersionTLS12, payload)
	if err == nil {
		_, err = transport.Write(buf)
	}
	putBuffer(buf)
	if err != nil {
		out.err = err
	}
	return err
}
