package mqtt

import (
	"errors"
	"io"
)

// Reader reads packets from a stream, for clients and tools. It is not safe for concurrent use.
type Reader struct {
	r    io.Reader
	v    Version
	max  int
	buf  []byte // everything read
	used int    // bytes at the start of buf that belong to packets returned already
}

// readerChunk is how much room the buffer of a Reader has at first, in bytes.
const readerChunk = 4096

// NewReader returns a Reader of packets of version v, or of the version that a CONNECT names when v is 0. A packet of
// more than max bytes, fixed header included, is refused before memory is taken for it; 0 means MaxPacketSize. The
// buffer grows with the data received and not with the length announced.
func NewReader(r io.Reader, v Version, max int) *Reader {
	if max <= 0 || max > MaxPacketSize {
		max = MaxPacketSize
	}
	return &Reader{r: r, v: v, max: max}
}

// ReadPacket returns the next packet. The packet aliases the Reader's buffer until the next call; Clone what is to be
// kept. It returns io.EOF if the stream ends between packets, io.ErrUnexpectedEOF if it ends within one, and an *Error
// for a packet that is refused, after which the stream is of no use any more.
func (r *Reader) ReadPacket() (Packet, error) {
	for {
		h, n, err := ParseHeader(r.buf[r.used:], r.v)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			return r.readBody(h, n)
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// readBody completes a packet whose fixed header takes the next n bytes of the buffer.
func (r *Reader) readBody(h Header, n int) (Packet, error) {
	size := n + h.Remaining
	if size > r.max {
		return nil, refuse(PacketTooLarge, r.v.clause("MQTT-4.8.0-1", "MQTT-3.1.2-24"), "packet larger than the limit")
	}
	for len(r.buf)-r.used < size {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	frame := r.buf[r.used : r.used+size : r.used+size]
	r.used += size
	p, err := Parse(r.v, h, frame[n:])
	if err != nil {
		return nil, err
	}
	if c, ok := p.(*Connect); ok && r.v == 0 {
		r.v = c.ProtocolVersion
	}
	return p, nil
}

// fill reads at least one byte into the buffer. When the buffer is full, it moves what is pending to its start, or
// doubles it.
func (r *Reader) fill() error {
	if len(r.buf) == cap(r.buf) && r.used > 0 {
		n := copy(r.buf, r.buf[r.used:])
		r.buf, r.used = r.buf[:n], 0
	}
	if len(r.buf) == cap(r.buf) {
		grown := make([]byte, len(r.buf), max(readerChunk, 2*cap(r.buf)))
		copy(grown, r.buf)
		r.buf = grown
	}
	n, err := io.ReadAtLeast(r.r, r.buf[len(r.buf):cap(r.buf)], 1)
	r.buf = r.buf[:len(r.buf)+n]
	if errors.Is(err, io.EOF) && len(r.buf) > r.used {
		return io.ErrUnexpectedEOF
	}
	return err
}
