package broker

import (
	"context"
	"fmt"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// enhanced is the state of enhanced authentication, MQTT 5 §4.12.
type enhanced struct {
	method  string                        // Authentication Method
	next    func([]byte) identity.Verdict // while an exchange is under way
	connect *mqtt.Connect                 // while the first one is
}

// authenticated ends the exchange that CONNECT began, if it did.
func (c *conn) authenticated() {
	if c.enhanced != nil {
		c.enhanced.next, c.enhanced.connect = nil, nil
	}
}

// handleAuthBeforeConnack goes on with the exchange that a CONNECT with an Authentication Method has started. Nothing
// but AUTH and DISCONNECT is allowed meanwhile [MQTT-3.1.2-30].
func (c *conn) handleAuthBeforeConnack(w *work, h mqtt.Header, body []byte) error {
	if h.Type == mqtt.TypeDisconnect {
		return errClosedByClient
	}
	if h.Type != mqtt.TypeAuth {
		return refuse(errProtocol, "MQTT-3.1.2-30", h.Type.String()+" before the authentication is complete")
	}
	p, err := c.parseAuth(h, body)
	if err != nil {
		return err
	}
	if p.ReasonCode != mqtt.ContinueAuthentication {
		return refuse(errProtocol, "MQTT-4.12.0-3", "reason code of auth is not continue")
	}
	return c.continueLogin(w, c.enhanced.connect, c.enhanced.next(p.Properties.AuthData))
}

// handleAuth is re-authentication of a connected client [MQTT-4.12.1-1]. It renews the rights of the same principal and
// can never change who the client is.
func (c *conn) handleAuth(w *work, h mqtt.Header, body []byte) error {
	p, err := c.parseAuth(h, body)
	if err != nil {
		return err
	}
	var v identity.Verdict
	e := c.enhanced
	switch {
	case p.ReasonCode == mqtt.ReAuthenticate && e.next == nil:
		ctx, cancel := context.WithTimeout(c.b.ctx, c.b.settings().ConnectTimeout)
		defer cancel()
		v = c.b.authn.Authenticate(ctx, &c.evidence, &identity.Credentials{
			ClientID: c.clientID, Level: byte(c.version), Method: e.method, Data: p.Properties.AuthData,
		})
	case p.ReasonCode == mqtt.ContinueAuthentication && e.next != nil:
		v = e.next(p.Properties.AuthData)
	default:
		return refuse(errProtocol, "MQTT-4.12.1-1", "auth out of turn")
	}
	e.next = nil
	switch v.Outcome {
	case identity.Accepted:
		if v.Principal != *c.principal {
			other := identity.Verdict{Cause: fmt.Errorf("re-authentication as %v [MQTT-4.12.1-2]", v.Principal)}
			return &recorded{c.refusedReauthentication(&other), errReauthenticated}
		}
		c.limitLogin(v.ExpiresAt)
		c.sendAuth(w, mqtt.Success, v.Data)
		return nil
	case identity.Continued:
		e.next = v.Next
		c.sendAuth(w, mqtt.ContinueAuthentication, v.Data)
		return nil
	default:
		return &recorded{c.refusedReauthentication(&v), errReauthenticated}
	}
}

// parseAuth checks that the method is the one of the CONNECT [MQTT-4.12.0-5].
func (c *conn) parseAuth(h mqtt.Header, body []byte) (*mqtt.Auth, error) {
	p := new(mqtt.Auth)
	if err := p.Parse(c.version, h.Flags, body); err != nil {
		return nil, err
	}
	if c.enhanced == nil {
		return nil, refuse(errProtocol, "MQTT-4.12.0-6", "auth without authentication method in connect")
	}
	if p.Properties.AuthMethod != c.enhanced.method {
		return nil, refuse(errProtocol, "MQTT-4.12.0-5", "authentication method changed")
	}
	p.Properties = p.Properties.Clone() // what the authenticator gets may stay with it until the next packet
	return p, nil
}

func (c *conn) sendAuth(w *work, code mqtt.ReasonCode, data []byte) {
	p := mqtt.Auth{ReasonCode: code}
	p.Properties.SetAuthMethod(c.enhanced.method)
	if data != nil {
		p.Properties.SetAuthData(data)
	}
	c.sendPacket(w, &p)
}
