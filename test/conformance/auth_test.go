package conformance_test

import (
	"testing"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

func method(name string) func(p *mqtt.Connect) {
	return properties(func(p *mqtt.Properties) { p.SetAuthMethod(name) })
}

func auth(code mqtt.ReasonCode, name, data string) *mqtt.Auth {
	p := &mqtt.Auth{ReasonCode: code}
	p.Properties.SetAuthMethod(name)
	p.Properties.SetAuthData([]byte(data))
	return p
}

// asks requires the broker's question.
func asks(c *client) {
	c.t.Helper()
	p := expect[*mqtt.Auth](c)
	if p.ReasonCode != mqtt.ContinueAuthentication || p.Properties.AuthMethod != "STEPS" || string(p.Properties.AuthData) != "really?" ||
		p.Properties.Has(mqtt.PropReasonString) || p.Properties.Has(mqtt.PropUser) {
		c.t.Fatalf("%+v", p)
	}
}

// stepped logs in with the method STEPS.
func stepped(t *testing.T, s *server) *client {
	t.Helper()
	c := s.dialRaw(t, mqtt.V5)
	c.sayConnect("c", method("STEPS"))
	asks(c)
	c.send(auth(mqtt.ContinueAuthentication, "STEPS", "yes"))
	ack := expect[*mqtt.Connack](c)
	if ack.ReasonCode != mqtt.Success || ack.Properties.AuthMethod != "STEPS" || string(ack.Properties.AuthData) != "welcome" {
		t.Fatalf("%+v", ack)
	}
	return c
}

// TestEnhancedAuthentication: question and answer before CONNACK, and again later.
func TestEnhancedAuthentication(t *testing.T) {
	conformance.Covers(t, "MQTT-4.12.0-2", "MQTT-4.12.0-3", "MQTT-4.12.0-5", "MQTT-3.15.2-1", "MQTT-3.15.2-2", "MQTT-3.15.2-3", "MQTT-3.2.0-1")
	c := stepped(t, start(t))
	c.quiet()
	c.send(auth(mqtt.ReAuthenticate, "STEPS", ""))
	asks(c)
	c.quiet() // the connection goes on under the old authentication meanwhile
	c.send(auth(mqtt.ContinueAuthentication, "STEPS", "yes"))
	if p := expect[*mqtt.Auth](c); p.ReasonCode != mqtt.Success || p.Properties.AuthMethod != "STEPS" {
		t.Errorf("%+v", p)
	}
	c.quiet()
}

// TestRefusedAuthentication: every way in which the exchange fails ends the connection.
func TestRefusedAuthentication(t *testing.T) {
	conformance.Covers(t, "MQTT-4.12.0-1", "MQTT-4.12.0-4", "MQTT-4.12.0-5", "MQTT-4.12.0-3", "MQTT-3.1.4-6", "MQTT-3.2.2-7")
	s := start(t)
	c := s.dialRaw(t, mqtt.V5)
	c.sayConnect("c", method("UNKNOWN"))
	c.refused(mqtt.BadAuthenticationMethod)
	for name, test := range map[string]struct {
		answer mqtt.Packet
		code   mqtt.ReasonCode
	}{
		"wrong answer":   {auth(mqtt.ContinueAuthentication, "STEPS", "no"), mqtt.BadUserNameOrPassword},
		"another method": {auth(mqtt.ContinueAuthentication, "OTHER", "yes"), mqtt.ProtocolError},
		"another code":   {auth(mqtt.ReAuthenticate, "STEPS", "yes"), mqtt.ProtocolError},
		"success":        {auth(mqtt.Success, "STEPS", "yes"), mqtt.ProtocolError},
		"publish":        {&mqtt.Publish{Topic: "a"}, mqtt.ProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dialRaw(t, mqtt.V5)
			c.sayConnect("c", method("STEPS"))
			asks(c)
			c.send(test.answer)
			c.refused(test.code)
		})
	}
	t.Run("disconnect", func(t *testing.T) {
		c := s.dialRaw(t, mqtt.V5)
		c.sayConnect("c", method("STEPS"))
		asks(c)
		c.send(&mqtt.Disconnect{})
		c.closed()
	})
}

// TestRefusedReauthentication: it keeps the method and the identity, or the connection ends.
func TestRefusedReauthentication(t *testing.T) {
	conformance.Covers(t, "MQTT-4.12.1-2", "MQTT-4.12.0-5")
	s := start(t)
	for name, test := range map[string]struct {
		answer mqtt.Packet
		code   mqtt.ReasonCode
	}{
		"wrong answer":   {auth(mqtt.ContinueAuthentication, "STEPS", "no"), mqtt.NotAuthorized},
		"another method": {auth(mqtt.ContinueAuthentication, "OTHER", "yes"), mqtt.ProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			c := stepped(t, s)
			c.send(auth(mqtt.ReAuthenticate, "STEPS", ""))
			asks(c)
			c.send(test.answer)
			c.ended(test.code)
		})
	}
	c := stepped(t, s)
	c.send(auth(mqtt.ReAuthenticate, "OTHER", ""))
	c.ended(mqtt.ProtocolError)
}

// TestAuthWithoutMethod: no method in CONNECT, no AUTH.
func TestAuthWithoutMethod(t *testing.T) {
	conformance.Covers(t, "MQTT-4.12.0-6", "MQTT-4.12.0-7")
	s := start(t)
	for _, code := range []mqtt.ReasonCode{mqtt.ContinueAuthentication, mqtt.ReAuthenticate, mqtt.Success} {
		c := s.connect(t, mqtt.V5, "c")
		if c.ack.Properties.Has(mqtt.PropAuthMethod) {
			t.Error("CONNACK names a method")
		}
		c.send(auth(code, "STEPS", "yes"))
		c.ended(mqtt.ProtocolError)
	}
}
