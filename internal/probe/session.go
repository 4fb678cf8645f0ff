package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"net"

	"github.com/sealmq/sealmq/mqtt"
)

// maxAnswer bounds a packet that is read, in bytes.
const maxAnswer = 256 << 10

// mostPackets bounds what is read before an answer: a broker may send messages first.
const mostPackets = 64

// session is a connection that was let in.
type session struct {
	conn net.Conn
	r    *mqtt.Reader
	v    mqtt.Version
	ack  mqtt.Connack
}

// close leaves in order.
func (s *session) close() {
	if b, err := new(mqtt.Disconnect).Append(nil, s.v); err == nil {
		_, _ = s.conn.Write(b)
	}
	_ = s.conn.Close()
}

// refusedError is a CONNACK that says no.
type refusedError struct{ code mqtt.ReasonCode }

func (e *refusedError) Error() string { return e.code.String() }

// connect logs in with or without the given login, with an identifier that nobody has.
func (l *look) connect(ctx context.Context, v mqtt.Version, login bool) (*session, error) {
	c, err := l.dial(ctx, nil)
	if err != nil {
		return nil, err
	}
	p := &mqtt.Connect{ProtocolVersion: v, CleanStart: true, KeepAlive: 30, ClientID: "probe-" + rand.Text()[:12]}
	if login {
		p.HasUsername, p.Username = true, l.o.Username
		p.HasPassword, p.Password = true, l.o.Password
	}
	b, err := p.Append(nil, v)
	if err == nil {
		_, err = c.Write(b)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	s := &session{conn: c, r: mqtt.NewReader(c, v, maxAnswer), v: v}
	answer, err := s.r.ReadPacket()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	ack, ok := answer.(*mqtt.Connack)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the answer to CONNECT is %v", answer.Type()), c.Close())
	}
	s.ack = *ack
	if ack.ReasonCode != mqtt.Success {
		_ = c.Close()
		return nil, &refusedError{ack.ReasonCode}
	}
	return s, nil
}

// canLogIn reports whether the given login may be sent.
func (l *look) canLogIn() bool {
	if l.o.Username == "" {
		return false
	}
	if l.e.secure && l.result.TLS.Certificate.Verified || l.result.Loopback {
		return true
	}
	l.result.LoginClear = true
	return false
}

// versions tries each without a login.
func (l *look) versions(ctx context.Context) {
	for _, v := range []struct {
		name string
		v    mqtt.Version
	}{{"3.1", mqtt.V31}, {"3.1.1", mqtt.V311}, {"5.0", mqtt.V5}} {
		s, err := l.connect(ctx, v.v, false)
		out := Version{Name: v.name}
		var refused *refusedError
		switch {
		case err == nil:
			out.Accepted, out.Answer = true, "accepted without login"
			l.result.Anonymous, l.result.Reachable = true, true
			s.close()
		case errors.As(err, &refused):
			l.result.Reachable = true
			out.Answer = "refused: " + refused.Error()
			if !unsupported(refused.code) {
				out.Accepted, out.Answer = true, "understood, refused: "+refused.Error()
				l.result.AsksLogin = true
			}
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			out.Answer = "closed without an answer"
		default:
			out.Answer = words(err)
			if !l.result.Reachable {
				l.result.Error = words(err)
			}
		}
		l.result.Versions = append(l.result.Versions, out)
		if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
			l.result.Versions = nil
			return
		}
	}
	if l.result.Reachable {
		l.result.Error = ""
	}
}

// unsupported are the answers to a version that the server does not speak, in both numberings.
func unsupported(c mqtt.ReasonCode) bool {
	return c == mqtt.UnsupportedProtocolVersion || c == 1
}

// filters are what a curious client asks for. The last one is a group of its own on a topic that nobody has.
var filters = []string{"#", "$SYS/#", "sealmq/probe/none", "$share/sealmq-probe/sealmq/probe/none"}

// session looks at limits and subscriptions in one MQTT 5 connection, or one of 3.1.1 without limits.
func (l *look) session(ctx context.Context) {
	login := l.canLogIn()
	if !l.result.Reachable || !l.result.Anonymous && !login {
		return
	}
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		s, err := l.connect(ctx, v, login)
		if err != nil {
			continue
		}
		l.result.LoggedIn = login
		if v == mqtt.V5 {
			l.result.Limits = limits(&s.ack.Properties)
		}
		for i, f := range filters {
			if v == mqtt.V311 && i == len(filters)-1 {
				continue // shared subscriptions are of MQTT 5
			}
			g, err := s.subscribe(f, mqtt.PacketID(i+1))
			if err != nil { // some brokers close instead of refusing
				l.result.Granted = append(l.result.Granted, Grant{Filter: f, Answer: "the connection was closed"})
				if s, err = l.connect(ctx, v, login); err != nil {
					return
				}
				continue
			}
			l.result.Granted = append(l.result.Granted, g)
		}
		s.close()
		return
	}
}

// subscribe asks for a filter, without retained messages, and takes it back. Messages that arrive meanwhile are not looked
// at.
func (s *session) subscribe(filter string, id mqtt.PacketID) (Grant, error) {
	sub := mqtt.Subscription{Filter: filter}
	if s.v == mqtt.V5 {
		sub.RetainHandling = 2
	}
	b, err := (&mqtt.Subscribe{PacketID: id, Subscriptions: []mqtt.Subscription{sub}}).Append(nil, s.v)
	if err != nil {
		return Grant{}, err
	}
	leave, err := (&mqtt.Unsubscribe{PacketID: id + 100, Filters: []string{filter}}).Append(b, s.v)
	if err != nil {
		return Grant{}, err
	}
	if _, err := s.conn.Write(leave); err != nil {
		return Grant{}, err
	}
	for range mostPackets {
		p, err := s.r.ReadPacket()
		if err != nil {
			return Grant{}, err
		}
		ack, ok := p.(*mqtt.Suback)
		if !ok || ack.PacketID != id || len(ack.ReasonCodes) != 1 {
			continue
		}
		code := ack.ReasonCodes[0]
		g := Grant{Filter: filter, Granted: code < 0x80, Answer: "granted"}
		if !g.Granted {
			g.Answer = "refused: " + code.String()
			if s.v != mqtt.V5 {
				g.Answer = "refused"
			}
		}
		return g, nil
	}
	return Grant{}, errors.New("no answer among many packets")
}

func limits(p *mqtt.Properties) *Limits {
	l := &Limits{ReceiveMaximum: math.MaxUint16, MaximumQoS: 2, Retain: true, Wildcards: true, Shared: true, SubscriptionIDs: true}
	if p.Has(mqtt.PropReceiveMaximum) {
		l.ReceiveMaximum = int(p.ReceiveMaximum)
	}
	if p.Has(mqtt.PropMaximumQoS) {
		l.MaximumQoS = int(p.MaximumQoS)
	}
	l.MaximumPacketSize = int64(p.MaximumPacketSize)
	l.TopicAliasMaximum = int(p.TopicAliasMaximum)
	l.ServerKeepAlive = int(p.ServerKeepAlive)
	for _, f := range []struct {
		id    mqtt.Property
		value byte
		to    *bool
	}{
		{mqtt.PropRetainAvailable, p.RetainAvailable, &l.Retain},
		{mqtt.PropWildcardAvailable, p.WildcardAvailable, &l.Wildcards},
		{mqtt.PropSharedAvailable, p.SharedAvailable, &l.Shared},
		{mqtt.PropSubscriptionIDAvailable, p.SubscriptionIDAvailable, &l.SubscriptionIDs},
	} {
		if p.Has(f.id) {
			*f.to = f.value == 1
		}
	}
	l.AuthMethod = p.AuthMethod
	return l
}
