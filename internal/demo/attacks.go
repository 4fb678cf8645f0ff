package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/outcomes"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/mqtt"
)

// attack is one line of the story.
type attack struct {
	attack, mechanism, tried string
	stops                    string // the layer that is declared to stop it; "" when nothing does
	because                  string // with stops "": why not
	does                     func(context.Context, *stage) (end, error)
}

// declared is how it should end.
func (a *attack) declared() outcomes.Outcome {
	if a.stops == "" {
		return outcomes.Succeeds
	}
	return outcomes.Refused
}

// attacks are carried out in this order. Brute force comes late, because it locks an account out.
var attacks = []attack{
	{"eavesdrop", "password login", "record a login and a reading on the network", "", "nothing encrypts: both can be read", eavesdropPlain},
	{"eavesdrop", "TLS", "record the same over TLS", layerTLS, "", eavesdropTLS},
	{"eavesdrop", "sign+encrypt", "record a sealed reading without TLS", layerSealed, "", eavesdropSealed},
	{"eavesdrop", "TLS", "read it as the broker's operator", "", "TLS ends at the broker", operatorReads},
	{"tamper", "sign", "flip a bit of a signed command on the network", "payload", "", tamperSigned},
	{"tamper", "sign+encrypt", "flip a bit as the operator, behind the broker", layerReceiver, "", tamperSealed},
	{"tamper", "checksum", "change a reading, and its checksum", "", "anybody can compute a checksum: it finds accidents, not attacks", tamperChecksum},
	{"replay a command", "sign", "send a command of an earlier session again", "payload", "", replayOld},
	{"replay a command", "sign", "as the operator: hand the last one out again", layerReceiver, "", replayByOperator},
	{"replay on another topic", "sign", "send press-7's command to press-8", "payload", "", replayElsewhere},
	{"downgrade to plain", "sign", "send a command without a signature", "payload", "", downgradeToPlain},
	{"forge a sender", "access rules", "press-8 publishes as press-7", "access", "", forgeSender},
	{"stolen password", "password login", "log in as maria with her password", "", "a password is all that this login asks for", stolenLogin},
	{"stolen password", "sign", "and send a command signed with another key", "payload", "", stolenCommand},
	{"wrong CA", "mTLS", "log in with a certificate of another authority", "transport", "", wrongClientCA},
	{"wrong CA", "TLS", "pose as the broker with such a certificate", layerClient, "", wrongServerCA},
	{"flood", "limits", "publish as fast as the line allows", "limit", "", flood},
	{"slow subscriber", "limits", "subscribe, and never acknowledge", "limit", "", slowSubscriber},
	{"brute force", "lockout", "guess passwords, then try the right one", "login", "", bruteForce},
	{"drop", "everything", "keep a message from arriving", "", "nothing forces delivery; receivers can notice gaps", drop},
}

// Layers that are not the broker's.
const (
	layerTLS    = "TLS"
	layerSealed = "payload encryption"
	layerClient = "TLS of the client"
)

func eavesdropPlain(_ context.Context, s *stage) (end, error) {
	r := s.readings[0]
	return end{succeeded: r.WireReads && r.PasswordShows}, nil
}

func eavesdropTLS(_ context.Context, s *stage) (end, error) {
	r := s.readings[1]
	return end{
		succeeded: r.WireReads || r.PasswordShows, layer: layerTLS, rule: s.keyPlace("listeners[tls].tls.cert"),
		why: "neither password nor reading is among the recorded bytes",
	}, nil
}

func eavesdropSealed(_ context.Context, s *stage) (end, error) {
	r := s.readings[2]
	return end{
		succeeded: r.WireReads || r.OperatorReads || r.PasswordShows, layer: layerSealed, rule: s.rulePlace(sealedRule),
		why: "neither the network nor the operator has the key",
	}, nil
}

func operatorReads(_ context.Context, s *stage) (end, error) {
	return end{succeeded: s.readings[1].OperatorReads, layer: layerTLS}, nil
}

func tamperSigned(ctx context.Context, s *stage) (end, error) {
	w, err := s.wire(plain)
	if err != nil {
		return end{}, err
	}
	seals, err := sealing(s.plant.desk, protecting.LevelSign, []string{"maria"})
	if err != nil {
		return end{}, err
	}
	c, err := s.dial(ctx, person{id: "maria, by the workshop's network", user: "maria", listener: plain, wire: w, protector: seals})
	if err != nil {
		return end{}, err
	}
	w.On(startTopic, flip)
	skip := s.device.size()
	if err := send(ctx, c, startTopic, []byte("start")); err != nil {
		return end{}, err
	}
	return s.decide(ctx, "maria, by the workshop's network", s.device, startTopic, demandSign, skip)
}

func tamperSealed(ctx context.Context, s *stage) (end, error) {
	skip := s.desk.size()
	s.toDesk.On(sealedTopic, flip)
	defer s.toDesk.On(sealedTopic, nil)
	if err := s.sealedReading(ctx, "press-7, once more"); err != nil {
		return end{}, err
	}
	return s.decide(ctx, "press-7, once more", s.desk, sealedTopic, demandSealed, skip)
}

func tamperChecksum(ctx context.Context, s *stage) (end, error) {
	w, err := s.wire(plain)
	if err != nil {
		return end{}, err
	}
	seals, err := sealing(nil, protecting.LevelChecksum, nil)
	if err != nil {
		return end{}, err
	}
	c, err := s.dial(ctx, person{id: "press-7 level", user: "press-7", listener: plain, wire: w, protector: seals})
	if err != nil {
		return end{}, err
	}
	w.On(sumTopic, recompute)
	if err := send(ctx, c, sumTopic, []byte("1.20 m")); err != nil {
		return end{}, err
	}
	out, err := s.decide(ctx, "press-7 level", s.sums, sumTopic, demandSum, 0)
	if e, ok := s.sums.find(sumTopic, 0); ok && out.succeeded && string(e.payload) != "9.20 m" {
		return out, fmt.Errorf("the attack had no effect: %q", e.payload)
	}
	return out, err
}

func replayOld(ctx context.Context, s *stage) (end, error) {
	skip := s.device.size()
	if err := s.intrude(ctx, "replay", "operator", startTopic, s.old); err != nil {
		return end{}, err
	}
	return s.decide(ctx, "replay", s.device, startTopic, demandSign, skip)
}

// replayByOperator: maria sends two commands to press-8; the operator hands the first out in the place of the second.
func replayByOperator(ctx context.Context, s *stage) (end, error) {
	publish := func() error {
		return s.maria.Publish(ctx, &client.Message{Topic: otherTopic, Payload: []byte("start"), QoS: mqtt.AtLeastOnce})
	}
	if err := publish(); err != nil {
		return end{}, err
	}
	if err := await(ctx, "press-8 to get a command", func() bool { return s.other.count(otherTopic) > 0 }); err != nil {
		return end{}, err
	}
	first := s.toOther.Last(otherTopic)
	s.toOther.On(otherTopic, func(topic string, _ []byte) (string, []byte) { return topic, first })
	defer s.toOther.On(otherTopic, nil)
	skip := s.other.size()
	if err := publish(); err != nil {
		return end{}, err
	}
	return s.decide(ctx, "nobody", s.other, otherTopic, demandSign, skip)
}

func replayElsewhere(ctx context.Context, s *stage) (end, error) {
	skip := s.other.size()
	if err := s.intrude(ctx, "replay elsewhere", "operator", otherTopic, s.lastOn(startTopic)); err != nil {
		return end{}, err
	}
	return s.decide(ctx, "replay elsewhere", s.other, otherTopic, demandSign, skip)
}

func downgradeToPlain(ctx context.Context, s *stage) (end, error) {
	skip := s.device.size()
	if err := s.intrude(ctx, "downgrade", "operator", startTopic, []byte("start")); err != nil {
		return end{}, err
	}
	return s.decide(ctx, "downgrade", s.device, startTopic, demandSign, skip)
}

func forgeSender(ctx context.Context, s *stage) (end, error) {
	skip := s.operator.size()
	if err := s.intrude(ctx, "press-8 forges", "press-8", readingTopic, []byte("99.9 °C")); err != nil {
		return end{}, err
	}
	return s.decide(ctx, "press-8 forges", s.operator, readingTopic, "", skip)
}

func stolenLogin(ctx context.Context, s *stage) (end, error) {
	_, err := s.dial(ctx, person{id: "thief", user: "maria", listener: secure})
	var no *client.ConnackError
	if errors.As(err, &no) {
		r, _ := s.node.Broker().LastRefusal("thief")
		return refused(&r), nil
	}
	return end{succeeded: err == nil}, err
}

// stolenCommand: the thief has maria's password and a key of the plant, but not hers: press-8's, renamed.
func stolenCommand(ctx context.Context, s *stage) (end, error) {
	forged, err := s.signAs("press-8", "maria", startTopic, "start")
	if err != nil {
		return end{}, err
	}
	skip := s.device.size()
	if err := s.intrude(ctx, "thief sends", "maria", startTopic, forged); err != nil {
		return end{}, err
	}
	return s.decide(ctx, "thief sends", s.device, startTopic, demandSign, skip)
}

func wrongClientCA(ctx context.Context, s *stage) (end, error) {
	_, err := s.dial(ctx, person{id: "impostor", listener: devices, cert: &s.alien})
	if err == nil {
		return end{succeeded: true}, nil
	}
	var out end
	return out, await(ctx, "the record of a handshake", func() bool {
		r, ok := s.node.Broker().LastRefusal("")
		if ok && r.Listener == "devices" && r.Layer.String() == "transport" {
			out = refused(&r)
		}
		return out.layer != ""
	})
}

// wrongServerCA: a false broker with a certificate for the right name. It sees no password, because the client hangs up.
func wrongServerCA(ctx context.Context, s *stage) (end, error) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{s.alienServer}, MinVersion: tls.VersionTLS13})
	if err != nil {
		return end{}, err
	}
	got := make(chan []byte, 1)
	go func() {
		b := make([]byte, 1024)
		n := 0
		if c, err := l.Accept(); err == nil {
			n, _ = c.Read(b)
			_ = c.Close()
		}
		got <- b[:n]
	}()
	_, err = s.dial(ctx, person{id: "deceived", user: "press-7", listener: secure, change: func(cfg *client.Config) {
		cfg.Server = "mqtts://" + l.Addr().String()
	}})
	_ = l.Close()
	read := string(<-got)
	var untrusted *tls.CertificateVerificationError
	if err != nil && !errors.As(err, &untrusted) {
		return end{}, err
	}
	return end{
		succeeded: err == nil || strings.Contains(read, s.passwords["press-7"]), layer: layerClient, rule: "--cafile " + filepath.Join("pki", "ca.crt"),
		why: "the certificate is of an unknown authority; no password was sent",
	}, nil
}

// flood publishes until the broker ends it. Meanwhile a reading of somebody else arrives.
func flood(ctx context.Context, s *stage) (end, error) {
	c, err := s.dial(ctx, person{id: "flood", user: "press-8", listener: plain, keepAlive: second})
	if err != nil {
		return end{}, err
	}
	big := make([]byte, 60<<10)
	for range 1000 {
		if err := c.Publish(ctx, &client.Message{Topic: "plant/press-8/flood", Payload: big}); err != nil {
			break
		}
	}
	skip := s.operator.size()
	if err := s.intrude(ctx, "press-7 in the flood", "press-7", readingTopic, []byte("21.5 °C")); err != nil {
		return end{}, err
	}
	if err := await(ctx, "the reading of another", func() bool { _, ok := s.operator.find(readingTopic, skip); return ok }); err != nil {
		return end{}, err
	}
	return s.recorded(ctx, "flood")
}

// slowSubscriber: it takes one message and never says so; everybody else gets all.
func slowSubscriber(ctx context.Context, s *stage) (end, error) {
	const topic, messages = "bulk/x", 300
	slow := person{id: "slow", user: "operator", listener: secure, change: func(cfg *client.Config) { cfg.ManualAcks, cfg.ReceiveMaximum = true, 1 }}
	if _, err := s.subscribe(ctx, slow, "bulk/#"); err != nil {
		return end{}, err
	}
	for range messages {
		if err := send(ctx, s.evil, topic, []byte("one of many")); err != nil {
			return end{}, err
		}
	}
	if err := await(ctx, "the others to get all", func() bool { return s.operator.count(topic) == messages }); err != nil {
		return end{}, err
	}
	return s.recorded(ctx, "slow")
}

// recorded waits for the broker's record about a client.
func (s *stage) recorded(ctx context.Context, id string) (end, error) {
	var out end
	return out, await(ctx, "a record about "+id, func() bool {
		r, ok := s.node.Broker().LastRefusal(id)
		if ok && r.ClientID == id {
			out = refused(&r)
		}
		return out.layer != ""
	})
}

// bruteForce guesses, and then has guessed right, too late.
func bruteForce(ctx context.Context, s *stage) (end, error) {
	var no *client.ConnackError
	for i := range 8 {
		_, err := s.dial(ctx, person{id: "guess", user: "paula", password: fmt.Sprintf("password%d", i), listener: secure})
		if !errors.As(err, &no) {
			return end{}, fmt.Errorf("a wrong password: %w", err)
		}
	}
	_, err := s.dial(ctx, person{id: "guess", user: "paula", listener: secure})
	if err == nil {
		return end{succeeded: true}, nil
	}
	if !errors.As(err, &no) {
		return end{}, err
	}
	return s.recorded(ctx, "guess")
}

// drop: the first of two readings does not arrive, the second does.
func drop(ctx context.Context, s *stage) (end, error) {
	w, err := s.wire(plain)
	if err != nil {
		return end{}, err
	}
	c, err := s.dial(ctx, person{id: "press-7 dropped", user: "press-7", listener: plain, wire: w})
	if err != nil {
		return end{}, err
	}
	const lost, after = "plant/press-7/alarm", "plant/press-7/alive"
	w.On(lost, func(string, []byte) (string, []byte) { return "", nil })
	for _, topic := range []string{lost, after} {
		if err := c.Publish(ctx, &client.Message{Topic: topic, Payload: []byte("too hot")}); err != nil {
			return end{}, err
		}
	}
	err = await(ctx, "the message behind", func() bool { return s.operator.count(after) > 0 })
	return end{succeeded: s.operator.count(lost) == 0}, err
}
