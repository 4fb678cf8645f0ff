package main

import (
	"net"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// scriptBroker is the script command broker: it starts a broker on loopback, without any durability, and puts its port
// into $PORT. User "mallory" is refused, and so are topics that begin with "denied/".
func scriptBroker(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: broker")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	b := &scriptedBroker{retained: map[string]*mqtt.Publish{}, subs: map[*scriptedConn][]mqtt.Subscription{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { b.serve(conn) })
		}
	})
	ts.Defer(func() {
		l.Close() //nolint:errcheck // test
		b.mu.Lock()
		for c := range b.subs {
			c.conn.Close() //nolint:errcheck // test
		}
		b.mu.Unlock()
		all.Wait()
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	ts.Check(err)
	ts.Setenv("PORT", port)
}

type scriptedBroker struct {
	mu       sync.Mutex // guards everything, writes included
	retained map[string]*mqtt.Publish
	subs     map[*scriptedConn][]mqtt.Subscription
}

type scriptedConn struct {
	conn net.Conn
	v    mqtt.Version
	next mqtt.PacketID
}

func (c *scriptedConn) send(p mqtt.Packet) {
	b, err := p.Append(nil, c.v)
	if err != nil {
		panic(err)
	}
	c.conn.Write(b) //nolint:errcheck // the reader notices
}

func (b *scriptedBroker) serve(conn net.Conn) {
	c := &scriptedConn{conn: conn}
	r := mqtt.NewReader(conn, 0, 0)
	b.mu.Lock()
	b.subs[c] = nil
	b.mu.Unlock()
	for {
		p, err := r.ReadPacket()
		b.mu.Lock()
		if err != nil || !b.handle(c, p) {
			delete(b.subs, c)
			conn.Close() //nolint:errcheck // test
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
	}
}

// handle answers one packet; false ends the connection.
func (b *scriptedBroker) handle(c *scriptedConn, p mqtt.Packet) bool {
	switch p := p.(type) {
	case *mqtt.Connect:
		c.v = p.ProtocolVersion
		if p.Username == "mallory" {
			c.send(&mqtt.Connack{ReasonCode: mqtt.BadUserNameOrPassword})
			return false
		}
		c.send(&mqtt.Connack{})
	case *mqtt.Publish:
		b.publish(c, p)
	case *mqtt.Pubrel:
		c.send(&mqtt.Pubcomp{PacketID: p.PacketID})
	case *mqtt.Pubrec:
		c.send(&mqtt.Pubrel{PacketID: p.PacketID})
	case *mqtt.Subscribe:
		b.subscribe(c, p.Clone())
	case *mqtt.Unsubscribe:
		c.send(&mqtt.Unsuback{PacketID: p.PacketID, ReasonCodes: make([]mqtt.ReasonCode, len(p.Filters))})
	case *mqtt.Pingreq:
		c.send(&mqtt.Pingresp{})
	case *mqtt.Disconnect:
		return false
	}
	return true
}

func (b *scriptedBroker) publish(c *scriptedConn, p *mqtt.Publish) {
	code := mqtt.Success
	if strings.HasPrefix(p.Topic, "denied/") {
		code = mqtt.NotAuthorized
	}
	if code == mqtt.Success {
		m := p.Clone()
		m.Retain = false
		for to, subs := range b.subs {
			for _, s := range subs {
				if topic.Filter(s.Filter).Matches(topic.Name(m.Topic)) {
					to.deliver(*m, s.QoS)
					break
				}
			}
		}
		if p.Retain {
			b.retained[m.Topic] = p.Clone()
			if len(p.Payload) == 0 {
				delete(b.retained, m.Topic)
			}
		}
	}
	switch p.QoS {
	case mqtt.AtLeastOnce:
		c.send(&mqtt.Puback{PacketID: p.PacketID, ReasonCode: code})
	case mqtt.ExactlyOnce:
		c.send(&mqtt.Pubrec{PacketID: p.PacketID, ReasonCode: code})
	}
}

func (c *scriptedConn) deliver(m mqtt.Publish, granted mqtt.QoS) {
	m.Dup, m.PacketID, m.QoS = false, 0, min(m.QoS, granted)
	if m.QoS > 0 {
		c.next++
		m.PacketID = c.next
	}
	c.send(&m)
}

func (b *scriptedBroker) subscribe(c *scriptedConn, p *mqtt.Subscribe) {
	ack := &mqtt.Suback{PacketID: p.PacketID}
	for _, s := range p.Subscriptions {
		code := mqtt.ReasonCode(s.QoS)
		if strings.HasPrefix(s.Filter, "denied/") {
			code = mqtt.NotAuthorized
			if c.v != mqtt.V5 {
				code = mqtt.UnspecifiedError
			}
		} else {
			b.subs[c] = append(b.subs[c], s)
		}
		ack.ReasonCodes = append(ack.ReasonCodes, code)
	}
	c.send(ack)
	for _, s := range p.Subscriptions {
		for name, m := range b.retained {
			if topic.Filter(s.Filter).Matches(topic.Name(name)) {
				c.deliver(*m, s.QoS)
			}
		}
	}
}
