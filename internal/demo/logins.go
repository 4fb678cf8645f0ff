package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
)

// loginAttacks are what is tried with the logins and the encryptions of connections, in this order.
var loginAttacks = func() []attack {
	var out []attack
	for _, c := range []struct {
		name     string
		listener int
	}{{"TLS", secure}, {"mTLS", devices}, {"PSK", psk}} {
		out = append(out,
			attack{"read on the wire", c.name, "record a reading", layerTLS, "", connection{c.listener}.read},
			attack{"flip a bit", c.name, "change a bit of what passes", "transport", "", connection{c.listener}.flip},
			attack{"read at the broker", c.name, "read it as the operator", "", "it ends at the broker", connection{c.listener}.operator},
		)
	}
	out = append(out, attack{"wrong key", "PSK", "connect with another key", "transport", "", wrongPSK})
	for _, f := range []keyring.Use{keyring.UseP1, keyring.UseP2, keyring.UseP3} {
		name := map[keyring.Use]string{keyring.UseP1: "P1", keyring.UseP2: "P2", keyring.UseP3: "P3"}[f]
		out = append(out,
			attack{"read the secret", name, "record a login without TLS", "credential", "", credential{f}.read},
			attack{"replay", name, "send a recorded login again", "login", "", credential{f}.replay},
			attack{"other client", name, "use it with another client identifier", "login", "", credential{f}.other},
			attack{"take over", name, "change what comes after the login", "", "it protects the login, not the connection", credential{f}.takeOver},
		)
	}
	return out
}()

// connection is one kind of encryption.
type connection struct{ listener int }

func (c connection) person(s *stage, id string) person {
	who := person{id: id, listener: c.listener}
	switch c.listener {
	case secure:
		who.user = "press-7"
	case devices:
		who.cert = &s.deviceCert
	}
	return who
}

func (c connection) topic() string { return fmt.Sprintf("plant/press-7/way-%d", c.listener) }

// read sends a reading through a wire, which cannot read it.
func (c connection) read(ctx context.Context, s *stage) (end, error) {
	w, err := s.wire(c.listener)
	if err != nil {
		return end{}, err
	}
	who := c.person(s, c.topic())
	who.wire = w
	conn, err := s.dial(ctx, who)
	if err != nil {
		return end{}, err
	}
	if err := send(ctx, conn, c.topic(), []byte(readingText)); err != nil {
		return end{}, err
	}
	name := s.plan.Config.Listeners[c.listener].Name
	return end{
		succeeded: w.Recorded(readingText), layer: layerTLS, rule: s.keyPlace("listeners[" + name + "]." + c.key()),
		why: fmt.Sprintf("it is not among %d recorded bytes", len(w.Recording())),
	}, nil
}

func (c connection) key() string {
	if c.listener == psk {
		return "tls_psk.file"
	}
	return "tls.cert"
}

// operator: the reading of read has come to the broker, and whoever runs it has read it.
func (c connection) operator(ctx context.Context, s *stage) (end, error) {
	if err := await(ctx, "the operator to get a reading", func() bool { return s.operator.count(c.topic()) > 0 }); err != nil {
		return end{}, err
	}
	return end{succeeded: string(s.lastOn(c.topic())) == readingText}, nil
}

// flip changes a bit of the next record: the connection ends, and the message does not arrive.
func (c connection) flip(ctx context.Context, s *stage) (end, error) {
	w, err := s.wire(c.listener)
	if err != nil {
		return end{}, err
	}
	topic := c.topic() + "/flipped"
	who := c.person(s, topic)
	who.wire = w
	conn, err := s.dial(ctx, who)
	if err != nil {
		return end{}, err
	}
	w.Flip()
	err = conn.Publish(ctx, &client.Message{Topic: topic, Payload: []byte(readingText), QoS: mqtt.AtLeastOnce})
	if err == nil || s.operator.count(topic) > 0 {
		return end{succeeded: true}, nil
	}
	name := s.plan.Config.Listeners[c.listener].Name
	out := end{layer: "transport", rule: s.keyPlace("listeners[" + name + "]." + c.key()), why: "the record does not verify, the connection ends"}
	if r, ok := s.node.Broker().LastRefusal(topic); ok && r.ClientID == topic {
		out = refused(&r)
	}
	return out, nil
}

func wrongPSK(ctx context.Context, s *stage) (end, error) {
	_, err := s.dial(ctx, person{id: "wrong key", listener: psk, psk: bytes.Repeat([]byte{7}, 32)})
	if err == nil {
		return end{succeeded: true}, nil
	}
	var out end
	return out, await(ctx, "the record of a handshake", func() bool {
		r, ok := s.node.Broker().LastRefusal("")
		if ok && r.Listener == "psk" && r.Layer.String() == "transport" {
			out = refused(&r)
		}
		return out.layer != ""
	})
}

// credential is one form of login without TLS.
type credential struct{ use keyring.Use }

// credential finds the key of press-7's login.
func (s *stage) credential(use keyring.Use) (*recordedCredential, error) {
	name := "press-7"
	if use == keyring.UseP1 {
		name = "login"
	}
	rec, err := s.press.Sealing(name, use)
	if err != nil {
		return nil, err
	}
	c := protecting.Credential{Keys: s.press, Record: rec, Server: "demo", Clock: now}
	if use == keyring.UseP1 {
		c.Password = keyring.NewSecret([]byte(s.passwords["press-7"]))
	}
	return &recordedCredential{Credential: c}, nil
}

// recordedCredential keeps the last Password, as somebody who recorded the CONNECT has it.
type recordedCredential struct {
	protecting.Credential
	last []byte
}

// SealPassword implements client.CredentialSealer.
func (r *recordedCredential) SealPassword(prefix []byte, p *mqtt.Connect) ([]byte, error) {
	b, err := r.Credential.SealPassword(prefix, p)
	r.last = b
	return b, err
}

func (c credential) id() string { return "press-7 by " + c.use.String() }

// read logs in through a wire: what passed holds neither the password nor the key.
func (c credential) read(ctx context.Context, s *stage) (end, error) {
	w, err := s.wire(plain)
	if err != nil {
		return end{}, err
	}
	cred, err := s.credential(c.use)
	if err != nil {
		return end{}, err
	}
	if _, err := s.dial(ctx, person{id: c.id(), user: "press-7", listener: plain, wire: w, cred: cred}); err != nil {
		return end{}, err
	}
	if !w.Recorded(string(cred.last)) {
		return end{}, errors.New("the login is not in the recording")
	}
	s.recordedLogins[c.use] = cred.last
	shows := w.Recorded(s.passwords["press-7"])
	if c.use == keyring.UseP2 {
		key := cred.Record.Key.SymmetricBytes()
		shows = shows || w.Recorded(string(key))
		clear(key)
	}
	return end{
		succeeded: shows, layer: "credential", rule: s.keyPlace("auth.credential.keyring"),
		why: "no secret is among the recorded bytes",
	}, nil
}

func (c credential) replay(ctx context.Context, s *stage) (end, error) {
	return c.again(ctx, s, c.id(), c.id())
}

func (c credential) other(ctx context.Context, s *stage) (end, error) {
	id := "another client, " + c.use.String()
	return c.again(ctx, s, id, id)
}

// again sends the recorded bytes again.
func (c credential) again(ctx context.Context, s *stage, id, record string) (end, error) {
	_, err := s.dial(ctx, person{id: id, user: "press-7", password: string(s.recordedLogins[c.use]), listener: plain})
	var no *client.ConnackError
	switch {
	case err == nil:
		return end{succeeded: true}, nil
	case !errors.As(err, &no):
		return end{}, err
	}
	return s.recorded(ctx, record)
}

// takeOver changes an unprotected message behind the login.
func (c credential) takeOver(ctx context.Context, s *stage) (end, error) {
	w, err := s.wire(plain)
	if err != nil {
		return end{}, err
	}
	cred, err := s.credential(c.use)
	if err != nil {
		return end{}, err
	}
	id := c.id() + ", taken over"
	conn, err := s.dial(ctx, person{id: id, user: "press-7", listener: plain, wire: w, cred: cred})
	if err != nil {
		return end{}, err
	}
	topic := "plant/press-7/" + c.use.String()
	w.On(topic, func(topic string, _ []byte) (string, []byte) { return topic, []byte("99.9 °C") })
	if err := send(ctx, conn, topic, []byte(readingText)); err != nil {
		return end{}, err
	}
	out, err := s.decide(ctx, id, s.operator, topic, "", 0)
	out.succeeded = out.succeeded && string(s.lastOn(topic)) == "99.9 °C"
	return out, err
}
