package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// connection is a link with the CONNACK that opened it.
type connection struct {
	link *link
	ack  *mqtt.Connack
}

// establish makes one attempt to connect.
func (c *Client) establish(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	conn, err := c.cfg.dial(ctx)
	if err != nil {
		return nil, err
	}
	interrupt := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	l := newLink(conn, c.cfg.Version, &c.mu)
	l.aliasIn = make(map[uint16]string)
	l.trace = c.cfg.Hooks.Trace
	ack, err := c.handshake(l)
	if !interrupt() && err == nil {
		err = context.Cause(ctx) // the deadline may be in the past by now
	}
	if err == nil {
		return &connection{l, ack}, nil
	}
	l.fail(err)
	if cause := context.Cause(ctx); cause != nil {
		err = errors.Join(cause, err)
	}
	var refused *ConnackError
	if errors.As(err, &refused) || errors.Is(err, ErrPlaintextPassword) {
		return nil, err
	}
	return nil, c.cfg.connectError("mqtt handshake", err)
}

// handshake sends CONNECT and waits for CONNACK, with the AUTH packets of an enhanced authentication between them.
func (c *Client) handshake(l *link) (*mqtt.Connack, error) {
	if c.cfg.Password != nil && !c.cfg.AllowPlaintextPassword && !c.cfg.confidential(l.conn) {
		return nil, ErrPlaintextPassword
	}
	exchange, err := c.beginAuth(l)
	if err != nil {
		return nil, err
	}
	connect, err := c.connectPacket(exchange)
	if err != nil {
		return nil, err
	}
	if err := c.send(l, connect); err != nil {
		return nil, err
	}
	for {
		p, err := c.receive(l)
		if err != nil {
			return nil, err
		}
		switch p := p.(type) {
		case *mqtt.Connack:
			return c.judge(p, connect.CleanStart, exchange, l)
		case *mqtt.Auth:
			if err := c.continueAuth(l, exchange, p); err != nil {
				return nil, err
			}
		case *mqtt.Disconnect:
			return nil, &ConnackError{
				Code: p.ReasonCode, ReasonString: p.Properties.ReasonString, ServerReference: p.Properties.ServerReference,
			}
		default:
			return nil, fmt.Errorf("%s in place of connack: %w", p.Type(), &mqtt.Error{Code: mqtt.ProtocolError, Clause: "MQTT-3.2.0-1"})
		}
	}
}

// send writes one packet at once: during the handshake there is no writer.
func (c *Client) send(l *link, p mqtt.Packet) error {
	b, err := p.Append(nil, l.v)
	if err != nil {
		return err
	}
	if c.cfg.Hooks.Trace != nil {
		c.cfg.Hooks.Trace(true, p.Type(), len(b))
	}
	_, err = l.conn.Write(b)
	return err
}

// receive reads one packet, in memory of its own.
func (c *Client) receive(l *link) (mqtt.Packet, error) {
	for {
		body, h, err := l.next(int(c.cfg.MaximumPacketSize))
		if err != nil {
			return nil, err
		}
		if body != nil {
			if c.cfg.Hooks.Trace != nil {
				c.cfg.Hooks.Trace(false, h.Type, len(body)+2)
			}
			return mqtt.Parse(l.v, h, append([]byte(nil), body...))
		}
		if err := l.fill(h.Remaining); err != nil {
			return nil, err
		}
	}
}

// connectPacket builds the CONNECT of one attempt.
func (c *Client) connectPacket(exchange AuthExchange) (*mqtt.Connect, error) {
	s := c.cfg
	c.mu.Lock()
	resuming := c.hadSession
	id := c.clientID
	c.mu.Unlock()
	p := &mqtt.Connect{
		ProtocolVersion: s.Version, KeepAlive: s.keepAlive, ClientID: id,
		CleanStart:  s.CleanStart && (!resuming || s.Version != mqtt.V5),
		HasUsername: s.HasUsername, Username: s.Username, HasPassword: s.Password != nil, Password: s.Password,
	}
	if err := c.setWill(p); err != nil {
		return nil, err
	}
	if s.Version == mqtt.V5 {
		p.Properties = s.Properties.Clone()
		p.Properties.SetReceiveMaximum(s.ReceiveMaximum)
		p.Properties.SetMaximumPacketSize(s.MaximumPacketSize)
		if s.TopicAliasMaximum > 0 {
			p.Properties.SetTopicAliasMaximum(uint16(s.TopicAliasMaximum))
		}
	}
	if exchange != nil {
		data, err := exchange.Start()
		if err != nil {
			return nil, fmt.Errorf("authentication %q: %w", exchange.Method(), err)
		}
		p.Properties.SetAuthMethod(exchange.Method())
		if data != nil {
			p.Properties.SetAuthData(data)
		}
	}
	if s.Credential != nil {
		p.HasPassword = true
		prefix, err := p.AppendCredentialPrefix(nil, s.Version)
		if err != nil {
			return nil, err
		}
		if p.Password, err = s.Credential.SealPassword(prefix, p); err != nil {
			return nil, fmt.Errorf("seal password: %w", err)
		}
	}
	return p, nil
}

func (c *Client) setWill(p *mqtt.Connect) error {
	w := c.cfg.Will
	if w == nil {
		return nil
	}
	if c.cfg.Protector != nil {
		sealed, err := c.seal(KindWill, w)
		if err != nil {
			return err
		}
		w = sealed
	}
	p.HasWill = true
	p.Will = mqtt.Will{QoS: w.QoS, Retain: w.Retain, Topic: w.Topic, Payload: w.Payload}
	if w.Properties != nil {
		p.Will.Properties = w.Properties.Clone()
	}
	return nil
}

// judge reads a CONNACK: a refusal, or a connection with its limits.
func (c *Client) judge(ack *mqtt.Connack, clean bool, exchange AuthExchange, l *link) (*mqtt.Connack, error) {
	p := &ack.Properties
	if ack.ReasonCode.IsError() {
		return nil, &ConnackError{Code: ack.ReasonCode, ReasonString: p.ReasonString, ServerReference: p.ServerReference}
	}
	if clean && ack.SessionPresent {
		return nil, &mqtt.Error{Code: mqtt.ProtocolError, Clause: "MQTT-3.2.2-2", Err: errors.New("session present after a clean start")}
	}
	if exchange != nil {
		if p.AuthMethod != exchange.Method() {
			return nil, &mqtt.Error{Code: mqtt.ProtocolError, Clause: "MQTT-4.12.0-5", Err: errors.New("connack with another authentication method")}
		}
		if err := exchange.Finish(p.AuthData); err != nil {
			return nil, fmt.Errorf("authentication %q: %w", exchange.Method(), err)
		}
	}
	l.setLimits(c.cfg, ack)
	return ack, nil
}

// setLimits notes what the server allows; what it does not say has the standard's default.
func (l *link) setLimits(s *settings, ack *mqtt.Connack) {
	p := &ack.Properties
	l.limits = limits{
		inflight: int(s.MaxInflight), packetSize: mqtt.MaxPacketSize, qos: mqtt.ExactlyOnce,
		retain:   !p.Has(mqtt.PropRetainAvailable) || p.RetainAvailable == 1,
		wildcard: !p.Has(mqtt.PropWildcardAvailable) || p.WildcardAvailable == 1,
		shared:   !p.Has(mqtt.PropSharedAvailable) || p.SharedAvailable == 1,
		subIDs:   !p.Has(mqtt.PropSubscriptionIDAvailable) || p.SubscriptionIDAvailable == 1,
		aliases:  p.TopicAliasMaximum,
	}
	if p.Has(mqtt.PropReceiveMaximum) {
		l.limits.inflight = min(l.limits.inflight, int(p.ReceiveMaximum))
	}
	if p.Has(mqtt.PropMaximumPacketSize) {
		l.limits.packetSize = int(p.MaximumPacketSize)
	}
	if p.Has(mqtt.PropMaximumQoS) {
		l.limits.qos = mqtt.QoS(p.MaximumQoS)
	}
	keepAlive := s.keepAlive
	if p.Has(mqtt.PropServerKeepAlive) { // [MQTT-3.1.2-21]
		keepAlive = p.ServerKeepAlive
	}
	l.keepAlive = time.Duration(keepAlive) * time.Second
	if s.TopicAliases && l.limits.aliases > 0 {
		l.aliasOut = make(map[string]uint16)
	}
}

// beginAuth starts the enhanced authentication of one attempt, if there is any.
func (c *Client) beginAuth(l *link) (AuthExchange, error) {
	if c.cfg.Auth == nil {
		return nil, nil
	}
	c.mu.Lock()
	info := AuthInfo{Server: c.cfg.server, ClientID: c.clientID, Remote: l.conn.RemoteAddr()}
	c.mu.Unlock()
	if secure, ok := l.conn.(*tls.Conn); ok {
		state := secure.ConnectionState()
		info.TLS = &state
	}
	exchange, err := c.cfg.Auth(info)
	if err != nil {
		return nil, fmt.Errorf("authentication: %w", err)
	}
	return exchange, nil
}

// answerAuth makes the AUTH that answers one of the server's.
func answerAuth(exchange AuthExchange, p *mqtt.Auth) (*mqtt.Auth, error) {
	if exchange == nil || p.ReasonCode != mqtt.ContinueAuthentication {
		return nil, &mqtt.Error{Code: mqtt.ProtocolError, Clause: "MQTT-4.12.0-1", Err: errors.New("auth that nothing asked for")}
	}
	if p.Properties.AuthMethod != exchange.Method() {
		return nil, &mqtt.Error{Code: mqtt.ProtocolError, Clause: "MQTT-4.12.0-5", Err: errors.New("auth with another method")}
	}
	data, err := exchange.Continue(p.Properties.AuthData)
	if err != nil {
		return nil, fmt.Errorf("authentication %q: %w", exchange.Method(), err)
	}
	answer := &mqtt.Auth{ReasonCode: mqtt.ContinueAuthentication}
	answer.Properties.SetAuthMethod(exchange.Method())
	if data != nil {
		answer.Properties.SetAuthData(data)
	}
	return answer, nil
}

func (c *Client) continueAuth(l *link, exchange AuthExchange, p *mqtt.Auth) error {
	answer, err := answerAuth(exchange, p)
	if err != nil {
		return err
	}
	return c.send(l, answer)
}

// Reauthenticate runs a new enhanced authentication on the present connection (MQTT 5 §4.12.1) and waits for its end.
// If it is refused, the server closes the connection, and the error is that of the connection.
func (c *Client) Reauthenticate(ctx context.Context) error {
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if c.cfg.Auth == nil {
		return errors.New("re-authenticate: no enhanced authentication is configured")
	}
	if l == nil {
		return errors.New("re-authenticate: not connected")
	}
	exchange, err := c.beginAuth(l)
	if err != nil {
		return err
	}
	data, err := exchange.Start()
	if err != nil {
		return fmt.Errorf("authentication %q: %w", exchange.Method(), err)
	}
	p := &mqtt.Auth{ReasonCode: mqtt.ReAuthenticate}
	p.Properties.SetAuthMethod(exchange.Method())
	if data != nil {
		p.Properties.SetAuthData(data)
	}
	done := make(chan struct{})
	c.mu.Lock()
	if c.reauth != nil {
		c.mu.Unlock()
		return errors.New("re-authenticate: one is going on")
	}
	c.reauth, c.reauthDone = exchange, done
	err = l.append(p)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-l.failed:
		return l.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// onAuth handles the AUTH packets of a re-authentication.
func (c *Client) onAuth(l *link, p *mqtt.Auth) error {
	c.mu.Lock()
	exchange, done := c.reauth, c.reauthDone
	c.mu.Unlock()
	if exchange == nil || p.ReasonCode == mqtt.ContinueAuthentication {
		answer, err := answerAuth(exchange, p)
		if err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return l.append(answer)
	}
	if err := exchange.Finish(p.Properties.AuthData); err != nil {
		return fmt.Errorf("authentication %q: %w", exchange.Method(), err)
	}
	c.mu.Lock()
	c.reauth, c.reauthDone = nil, nil
	c.mu.Unlock()
	close(done)
	return nil
}
