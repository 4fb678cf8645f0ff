package conformance_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// patience bounds every wait. It is never reached by a broker that works.
const patience = 10 * time.Second

// client is one Network Connection that says what the test wants, right or wrong. What it reads goes through the strict
// parser of package mqtt, so every packet of the broker is checked for its flags, lengths, text and reason codes.
type client struct {
	t      *testing.T
	nc     net.Conn
	v      mqtt.Version
	reader *mqtt.Reader
	ack    *mqtt.Connack
	room   int // the Maximum Packet Size it announced
}

// dial opens a connection without saying anything.
func (s *server) dialRaw(t *testing.T, v mqtt.Version) *client {
	t.Helper()
	nc, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &client{t: t, nc: nc, v: v, reader: mqtt.NewReader(nc, v, 0)}
}

// connect opens a session and requires that the broker accepts it. Without options it is a new one that ends with the
// connection.
func (s *server) connect(t *testing.T, v mqtt.Version, id string, options ...func(p *mqtt.Connect)) *client {
	t.Helper()
	c := s.dialRaw(t, v)
	c.sayConnect(id, options...)
	c.ack = expect[*mqtt.Connack](c)
	if c.ack.ReasonCode != mqtt.Success {
		t.Fatalf("%s was refused: %s", id, c.ack.ReasonCode)
	}
	return c
}

func (c *client) sayConnect(id string, options ...func(p *mqtt.Connect)) {
	c.t.Helper()
	p := &mqtt.Connect{ProtocolVersion: c.v, CleanStart: true, ClientID: id}
	for _, set := range options {
		set(p)
	}
	if p.Properties.Has(mqtt.PropMaximumPacketSize) {
		c.room = int(p.Properties.MaximumPacketSize)
	}
	c.send(p)
}

// durable asks for a session that outlives its connection, and resumes the one there is.
func durable(p *mqtt.Connect) {
	p.CleanStart = false
	if p.ProtocolVersion == mqtt.V5 {
		p.Properties.SetSessionExpiry(600)
	}
}

func will(name, payload string, qos mqtt.QoS, retain bool, set ...func(p *mqtt.Properties)) func(p *mqtt.Connect) {
	return func(p *mqtt.Connect) {
		p.HasWill, p.Will = true, mqtt.Will{Topic: name, Payload: []byte(payload), QoS: qos, Retain: retain}
		for _, f := range set {
			f(&p.Will.Properties)
		}
	}
}

func properties(set func(p *mqtt.Properties)) func(p *mqtt.Connect) {
	return func(p *mqtt.Connect) { set(&p.Properties) }
}

func (c *client) send(packets ...mqtt.Packet) {
	c.t.Helper()
	var b []byte
	for _, p := range packets {
		var err error
		if b, err = p.Append(b, c.v); err != nil {
			c.t.Fatal(err)
		}
	}
	c.write(b)
}

func (c *client) write(b []byte) {
	c.t.Helper()
	_ = c.nc.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.nc.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// tryRead returns the next packet, or the error with which the stream ended.
func (c *client) tryRead() (mqtt.Packet, error) {
	_ = c.nc.SetReadDeadline(time.Now().Add(patience))
	p, err := c.reader.ReadPacket()
	if err == nil && c.room > 0 {
		if b, _ := p.Append(nil, c.v); len(b) > c.room {
			c.t.Errorf("%s of %d bytes exceeds the maximum packet size", p.Type(), len(b))
		}
	}
	return p, err
}

// expect reads one packet, which must be a P.
func expect[P mqtt.Packet](c *client) P {
	c.t.Helper()
	p, err := c.tryRead()
	if err != nil {
		c.t.Fatalf("waiting for %T: %v", *new(P), err)
	}
	got, ok := p.(P)
	if !ok {
		c.t.Fatalf("got %s, want %T: %+v", p.Type(), *new(P), p)
	}
	return got
}

// message reads a PUBLISH and compares topic and payload.
func (c *client) message(name, payload string) *mqtt.Publish {
	c.t.Helper()
	p := expect[*mqtt.Publish](c).Clone()
	if p.Topic != name || string(p.Payload) != payload {
		c.t.Fatalf("got %q on %q, want %q on %q", p.Payload, p.Topic, payload, name)
	}
	return p
}

// quiet requires that nothing but the answer to a PINGREQ is on its way.
func (c *client) quiet() {
	c.t.Helper()
	c.send(&mqtt.Pingreq{})
	expect[*mqtt.Pingresp](c)
}

// ended requires that the broker closes the connection: after a DISCONNECT with the code in version 5, without a word
// before.
func (c *client) ended(code mqtt.ReasonCode) {
	c.t.Helper()
	if c.v == mqtt.V5 {
		d := expect[*mqtt.Disconnect](c)
		if d.ReasonCode != code {
			c.t.Errorf("disconnected with %s, want %s", d.ReasonCode, code)
		}
		if d.Properties.Has(mqtt.PropSessionExpiry) {
			c.t.Error("the broker's DISCONNECT has a Session Expiry Interval")
		}
	}
	c.closed()
}

// refused requires a CONNACK with the code and the end: the code itself in version 5, the return code for it before.
func (c *client) refused(code mqtt.ReasonCode) {
	c.t.Helper()
	ack := expect[*mqtt.Connack](c)
	if want := code.ConnectReturnCode(); c.v == mqtt.V5 && ack.ReasonCode != code || ack.ReasonCode.ConnectReturnCode() != want {
		c.t.Errorf("refused with %s, want %s", ack.ReasonCode, code)
	}
	if ack.SessionPresent {
		c.t.Error("a refusal claims that a session is present")
	}
	c.closed()
}

// closed requires the end of the stream. A reset counts: the broker may close while we still write.
func (c *client) closed() {
	c.t.Helper()
	p, err := c.tryRead()
	var timeout net.Error
	switch {
	case err == nil:
		c.t.Errorf("got %s after the end", p.Type())
	case errors.As(err, &timeout) && timeout.Timeout():
		c.t.Error("the broker did not close the connection")
	case errors.As(err, new(*mqtt.Error)) || errors.Is(err, io.ErrUnexpectedEOF):
		c.t.Errorf("the broker sent nonsense: %v", err)
	}
}

// subscribe asks for filters with one QoS and requires that it is granted.
func (c *client) subscribe(qos mqtt.QoS, filters ...string) {
	c.t.Helper()
	subs := make([]mqtt.Subscription, len(filters))
	for i, f := range filters {
		subs[i] = mqtt.Subscription{Filter: f, QoS: qos}
	}
	c.subscribeWith(nil, subs...)
}

// subscribeWith is subscribe with options and properties.
func (c *client) subscribeWith(set func(p *mqtt.Properties), subs ...mqtt.Subscription) {
	c.t.Helper()
	p := &mqtt.Subscribe{PacketID: 900, Subscriptions: subs}
	if set != nil {
		set(&p.Properties)
	}
	c.send(p)
	ack := expect[*mqtt.Suback](c)
	if ack.PacketID != 900 || len(ack.ReasonCodes) != len(subs) {
		c.t.Fatalf("suback %+v", ack)
	}
	for i, code := range ack.ReasonCodes {
		if code != mqtt.ReasonCode(subs[i].QoS) {
			c.t.Fatalf("%s: %s", subs[i].Filter, code)
		}
	}
}

// publish sends an application message and plays the sender's part to the end, which with QoS 0 is at once.
func (c *client) publish(name, payload string, qos mqtt.QoS, options ...func(p *mqtt.Publish)) {
	c.t.Helper()
	p := &mqtt.Publish{Topic: name, Payload: []byte(payload), QoS: qos}
	if qos > mqtt.AtMostOnce {
		p.PacketID = 77
	}
	for _, set := range options {
		set(p)
	}
	c.send(p)
	c.finish(qos, p.PacketID)
}

// finish reads the answers to a PUBLISH, which must be positive.
func (c *client) finish(qos mqtt.QoS, id mqtt.PacketID) {
	c.t.Helper()
	var got mqtt.PacketID
	var code mqtt.ReasonCode
	switch qos {
	case mqtt.AtMostOnce:
		return
	case mqtt.AtLeastOnce:
		a := expect[*mqtt.Puback](c)
		got, code = a.PacketID, a.ReasonCode
	case mqtt.ExactlyOnce:
		a := expect[*mqtt.Pubrec](c)
		got, code = a.PacketID, a.ReasonCode
		c.send(&mqtt.Pubrel{PacketID: id})
		if done := expect[*mqtt.Pubcomp](c); done.PacketID != id || done.ReasonCode != mqtt.Success {
			c.t.Fatalf("pubcomp %+v", done)
		}
	}
	if got != id || code.IsError() {
		c.t.Fatalf("acknowledgement of %d: %d %s", id, got, code)
	}
}

func retained(p *mqtt.Publish) { p.Retain = true }

// acknowledge plays the receiver's part for a message to the end.
func (c *client) acknowledge(p *mqtt.Publish) {
	c.t.Helper()
	switch p.QoS {
	case mqtt.AtLeastOnce:
		c.send(&mqtt.Puback{PacketID: p.PacketID})
	case mqtt.ExactlyOnce:
		c.send(&mqtt.Pubrec{PacketID: p.PacketID})
		if rel := expect[*mqtt.Pubrel](c); rel.PacketID != p.PacketID || rel.ReasonCode != mqtt.Success {
			c.t.Fatalf("pubrel %+v", rel)
		}
		c.send(&mqtt.Pubcomp{PacketID: p.PacketID})
	}
}

// leave ends the connection in order and waits until the broker has seen it.
func (c *client) leave() {
	c.t.Helper()
	c.send(&mqtt.Disconnect{})
	c.closed()
}

// drop ends the connection as a failing network would.
func (c *client) drop() { _ = c.nc.Close() }

// frame builds a packet from its first byte and the parts of its body, right or wrong.
func frame(first byte, parts ...string) []byte {
	body := strings.Join(parts, "")
	return append(mqtt.AppendHeader(nil, mqtt.PacketType(first>>4), first&0xF, len(body)), body...)
}

// lp puts the two length bytes of a string in front of s.
func lp(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

// noProps is an empty property list in version 5, and nothing before.
func noProps(v mqtt.Version) string {
	if v == mqtt.V5 {
		return "\x00"
	}
	return ""
}

// connectFrame builds a CONNECT: flags, then the payload.
func connectFrame(v mqtt.Version, flags byte, payload ...string) []byte {
	return frame(0x10, lp("MQTT"), string([]byte{byte(v), flags, 0, 60}), noProps(v), strings.Join(payload, ""))
}

// breaks sends bytes on a new, connected client and requires that the broker ends the connection with the code.
func (s *server) breaks(t *testing.T, v mqtt.Version, name string, b []byte, code mqtt.ReasonCode) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		c := s.connect(t, v, "breaker")
		c.write(b)
		c.ended(code)
	})
}

// rejects sends bytes as the first packet and requires that version 5 hears the code in CONNACK, and version 3.1.1
// nothing, before the connection is closed.
func (s *server) rejects(t *testing.T, v mqtt.Version, name string, b []byte, code mqtt.ReasonCode) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		c := s.dialRaw(t, v)
		c.write(b)
		if v == mqtt.V5 {
			c.refused(code)
			return
		}
		c.closed()
	})
}

// numbered is a payload or name with a number.
func numbered(s string, n int) string { return fmt.Sprintf("%s-%d", s, n) }
