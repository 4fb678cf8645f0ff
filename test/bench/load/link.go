package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// patience bounds each step of setting up, and the waiting for what is under way at the end.
const patience = 20 * time.Second

// link is one MQTT connection. It hands over frames as they stand in its buffer, many for one read.
type link struct {
	net.Conn
	version mqtt.Version
	in      []byte // read, and not handed over yet
	room    int    // bytes that the buffer has at first
	// Of the CONNACK.
	present        bool // the session was there
	receiveMaximum int
}

// fill reads once.
func (l *link) fill() error {
	if cap(l.in) == len(l.in) {
		grown := make([]byte, len(l.in), max(l.room, 2*cap(l.in)))
		copy(grown, l.in)
		l.in = grown
	}
	n, err := l.Read(l.in[len(l.in):cap(l.in)])
	l.in = l.in[:len(l.in)+n]
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// errEnough ends each before the buffer does.
var errEnough = errors.New("enough frames")

// each hands over the complete frames of the buffer, with their header's length, until handle fails.
func (l *link) each(handle func(t mqtt.PacketType, frame []byte, header int) error) error {
	at := 0
	defer func() { l.in = l.in[:copy(l.in[:cap(l.in)], l.in[at:])] }()
	for {
		h, n, err := mqtt.ParseHeader(l.in[at:], l.version)
		if err != nil {
			return err
		}
		end := at + n + h.Remaining
		if n == 0 || end > len(l.in) {
			return nil
		}
		frame := l.in[at:end]
		at = end
		if err := handle(h.Type, frame, n); err != nil {
			return err
		}
	}
}

// await reads until a packet of p's type has come, parses it, and keeps what follows. Others before it are dropped.
func (l *link) await(p mqtt.Packet) error {
	take := func(t mqtt.PacketType, frame []byte, header int) error {
		switch {
		case t == p.Type():
			if err := p.Parse(l.version, frame[0]&0xF, frame[header:]); err != nil {
				return err
			}
			return errEnough
		case t == mqtt.TypeDisconnect:
			var d mqtt.Disconnect
			_ = d.Parse(l.version, 0, frame[header:])
			return fmt.Errorf("the broker closes the connection: %v", d.ReasonCode)
		}
		return nil
	}
	for {
		if err := l.each(take); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
		if err := l.fill(); err != nil {
			return fmt.Errorf("waiting for %v: %w", p.Type(), err)
		}
	}
}

// send writes one packet.
func (l *link) send(p mqtt.Packet) error {
	b, err := p.Append(nil, l.version)
	if err == nil {
		_, err = l.Write(b)
	}
	return err
}

// subscribe asks for filters with one packet and waits for the answer.
func (l *link) subscribe(qos mqtt.QoS, filters ...string) error {
	p := &mqtt.Subscribe{PacketID: 1}
	for _, f := range filters {
		p.Subscriptions = append(p.Subscriptions, mqtt.Subscription{Filter: f, QoS: qos})
	}
	_ = l.SetDeadline(time.Now().Add(patience))
	defer func() { _ = l.SetDeadline(time.Time{}) }()
	if err := l.send(p); err != nil {
		return err
	}
	var answer mqtt.Suback
	if err := l.await(&answer); err != nil {
		return err
	}
	if len(answer.ReasonCodes) != len(filters) {
		return fmt.Errorf("SUBACK with %d answers to %d filters", len(answer.ReasonCodes), len(filters))
	}
	for i, c := range answer.ReasonCodes {
		if c >= 0x80 {
			return fmt.Errorf("subscription to %s refused: %v", filters[i], c)
		}
	}
	return nil
}

// leave says DISCONNECT and waits for the broker to close, so that the port is free again on this side.
func (l *link) leave() {
	_ = l.SetDeadline(time.Now().Add(time.Second))
	if l.send(&mqtt.Disconnect{}) == nil {
		for l.in = l.in[:0]; l.fill() == nil; l.in = l.in[:0] {
		}
	}
	_ = l.Close()
}

// acknowledged reads PUBACK, PUBREC and their like; header is the length of the fixed header.
func acknowledged(frame []byte, header int) (id uint16, code mqtt.ReasonCode) {
	body := frame[header:]
	if len(body) < 2 {
		return 0, mqtt.MalformedPacket
	}
	if len(body) > 2 {
		code = mqtt.ReasonCode(body[2])
	}
	return binary.BigEndian.Uint16(body), code
}

// appendAck appends an acknowledgement without a reason code, which has one form in all versions.
func appendAck(dst []byte, t mqtt.PacketType, id uint16) []byte {
	flags := byte(0)
	if t == mqtt.TypePubrel {
		flags = 2
	}
	return binary.BigEndian.AppendUint16(mqtt.AppendHeader(dst, t, flags, 2), id)
}
