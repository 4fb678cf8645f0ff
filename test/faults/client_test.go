package faults

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// client is a correct MQTT client whose session outlives its connections, as the standard demands of one that wants
// exactly-once delivery: it keeps Packet Identifiers, sends again with DUP, and remembers QoS 2 identifiers.
type client struct {
	id      string
	version mqtt.Version
	clean   bool
	will    *mqtt.Will

	mu     sync.Mutex
	conn   net.Conn
	closed chan struct{} // of the present connection

	// Outbound: messages by Packet Identifier, in the order of sending.
	nextPID mqtt.PacketID
	window  []*outbound
	change  chan struct{} // closed when the window shrinks or the connection ends

	// Inbound.
	inbound map[mqtt.PacketID]bool // QoS 2 identifiers received and not released
	receive func(p *mqtt.Publish)
}

type outbound struct {
	pub      mqtt.Publish
	released bool // PUBREC received
	acked    func()
}

func newClient(id string, v mqtt.Version) *client {
	return &client{id: id, version: v, nextPID: 1, inbound: make(map[mqtt.PacketID]bool), change: make(chan struct{})}
}

// connect opens a connection, resumes the session, and sends again what is not acknowledged [MQTT-4.4.0-1].
func (c *client) connect(addr string) (present bool, err error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return false, err
	}
	p := mqtt.Connect{ProtocolVersion: c.version, CleanStart: c.clean, ClientID: c.id, KeepAlive: 60}
	if c.version == mqtt.V5 && !c.clean {
		p.Properties.SetSessionExpiry(3600)
	}
	if c.will != nil {
		p.HasWill, p.Will = true, *c.will
	}
	frame, err := p.Append(nil, c.version)
	if err == nil {
		_, err = conn.Write(frame)
	}
	if err != nil {
		_ = conn.Close()
		return false, err
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	r := mqtt.NewReader(bufio.NewReaderSize(conn, 64<<10), c.version, 1<<20)
	answer, err := r.ReadPacket()
	if err != nil {
		_ = conn.Close()
		return false, err
	}
	ack, ok := answer.(*mqtt.Connack)
	if !ok || ack.ReasonCode != mqtt.Success {
		_ = conn.Close()
		return false, fmt.Errorf("%s: connack: %#v", c.id, answer)
	}
	_ = conn.SetReadDeadline(time.Time{})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.closed = conn, make(chan struct{})
	for _, o := range c.window {
		c.sendAgain(o)
	}
	go c.read(r, conn, c.closed)
	return ack.SessionPresent, nil
}

func (c *client) sendAgain(o *outbound) {
	if o.released {
		c.send(&mqtt.Pubrel{PacketID: o.pub.PacketID})
		return
	}
	o.pub.Dup = true
	c.send(&o.pub)
}

// send writes a packet. Errors show at the reader. mu is held.
func (c *client) send(p mqtt.Packet) {
	frame, err := p.Append(nil, c.version)
	if err != nil {
		panic(err)
	}
	_, _ = c.conn.Write(frame)
}

// publish sends a message when the window has room, and returns false when the connection ended first. acked is called
// when the broker has taken responsibility: PUBACK, or PUBREC.
func (c *client) publish(name string, payload []byte, qos mqtt.QoS, retain bool, window int, acked func()) bool {
	c.mu.Lock()
	for len(c.window) >= window {
		change, closed := c.change, c.closed
		c.mu.Unlock()
		select {
		case <-change:
		case <-closed:
			return false
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	if qos == mqtt.AtMostOnce {
		c.send(&mqtt.Publish{Topic: name, Payload: payload, Retain: retain})
		return true
	}
	o := &outbound{acked: acked}
	o.pub = mqtt.Publish{Topic: name, Payload: payload, QoS: qos, Retain: retain, PacketID: c.nextPID}
	if c.nextPID++; c.nextPID == 0 {
		c.nextPID = 1
	}
	c.window = append(c.window, o)
	c.send(&o.pub)
	return true
}

// settle waits until everything is acknowledged; false when the connection ended first.
func (c *client) settle(timeout time.Duration) bool {
	deadline := time.After(timeout)
	for {
		c.mu.Lock()
		n, change, closed := len(c.window), c.change, c.closed
		c.mu.Unlock()
		if n == 0 {
			return true
		}
		select {
		case <-change:
		case <-closed:
			return false
		case <-deadline:
			return false
		}
	}
}

func (c *client) subscribe(filter string, qos mqtt.QoS) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.send(&mqtt.Subscribe{PacketID: 65535, Subscriptions: []mqtt.Subscription{{Filter: filter, QoS: qos}}})
}

// disconnect ends the connection in order.
func (c *client) disconnect() {
	c.mu.Lock()
	c.send(&mqtt.Disconnect{})
	closed := c.closed
	c.mu.Unlock()
	<-closed
}

// wait returns when the connection has ended.
func (c *client) wait() {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	<-closed
}

func (c *client) read(r *mqtt.Reader, conn net.Conn, closed chan struct{}) {
	defer close(closed)
	defer conn.Close()
	for {
		p, err := r.ReadPacket()
		if err != nil {
			return
		}
		c.handle(p)
	}
}

func (c *client) handle(p mqtt.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch p := p.(type) {
	case *mqtt.Publish:
		c.inboundPublish(p)
	case *mqtt.Pubrel:
		delete(c.inbound, p.PacketID)
		c.send(&mqtt.Pubcomp{PacketID: p.PacketID})
	case *mqtt.Puback:
		c.outboundDone(p.PacketID, true)
	case *mqtt.Pubrec:
		for _, o := range c.window {
			if o.pub.PacketID == p.PacketID && !o.released {
				o.released = true
				o.acked()
			}
		}
		c.send(&mqtt.Pubrel{PacketID: p.PacketID})
	case *mqtt.Pubcomp:
		c.outboundDone(p.PacketID, false)
	}
}

func (c *client) inboundPublish(p *mqtt.Publish) {
	switch p.QoS {
	case mqtt.AtLeastOnce:
		c.receive(p)
		c.send(&mqtt.Puback{PacketID: p.PacketID})
	case mqtt.ExactlyOnce:
		if !c.inbound[p.PacketID] {
			c.inbound[p.PacketID] = true
			c.receive(p)
		}
		c.send(&mqtt.Pubrec{PacketID: p.PacketID})
	default:
		c.receive(p)
	}
}

func (c *client) outboundDone(pid mqtt.PacketID, ack bool) {
	for i, o := range c.window {
		if o.pub.PacketID == pid {
			if ack {
				o.acked()
			}
			c.window = append(c.window[:i:i], c.window[i+1:]...)
			close(c.change)
			c.change = make(chan struct{})
			return
		}
	}
}

// Messages say who sent them and which of his they are.
func payload(publisher int, seq uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(publisher)), seq)
}

func parsePayload(b []byte) (publisher int, seq uint32) {
	return int(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint32(b[4:])
}
