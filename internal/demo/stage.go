package demo

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/internal/wiretap"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// Topics of the demo.
const (
	readingTopic = "plant/press-7/temp"
	sealedTopic  = "plant/press-7/sealed/temp"
	sumTopic     = "plant/press-7/sum/level"
	startTopic   = "plant/press-7/cmd/start"
	otherTopic   = "plant/press-8/cmd/start"
)

// What receivers demand.
const (
	demandSign   = "sub --require sign"
	demandSealed = "sub --require sign+encrypt"
	demandSum    = "sub --require checksum"
)

// stage is a plant in which everybody who does no harm is connected.
type stage struct {
	*plant
	operator *inbox // of the broker's operator, who sees all
	device   *inbox // of press-7, which acts on commands
	other    *inbox // of press-8, which the operator reaches by a wire of his own
	desk     *inbox // sealed readings, opened
	sums     *inbox // readings with checksums

	toOther *wiretap.Wire
	toDesk  *wiretap.Wire
	maria   *client.Client // sends signed commands
	evil    *client.Client // of somebody with the operator's rights, who sends bytes as they are
	old     []byte         // a command of an earlier session

	readings       []Reading
	recordedLogins map[keyring.Use][]byte // Passwords as they passed
}

func newStage(p *plant) *stage {
	return &stage{plant: p, operator: &inbox{}, device: &inbox{}, other: &inbox{}, desk: &inbox{}, sums: &inbox{}, recordedLogins: map[keyring.Use][]byte{}}
}

// enter connects everybody.
func (s *stage) enter(ctx context.Context) error {
	var err error
	if s.toOther, err = s.wire(plain); err != nil {
		return err
	}
	if s.toDesk, err = s.wire(plain); err != nil {
		return err
	}
	sign, err := s.opening(s.press, protecting.LevelSign)
	if err != nil {
		return err
	}
	signOther, err := s.opening(s.neighbour, protecting.LevelSign)
	if err != nil {
		return err
	}
	sealed, err := s.opening(s.plant.desk, protecting.LevelSignEncrypt)
	if err != nil {
		return err
	}
	sums, err := s.opening(s.plant.desk, protecting.LevelChecksum)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		who    person
		filter string
	}{
		{person{id: "operator", user: "operator", listener: secure, inbox: s.operator}, "#"},
		{person{id: "press-7", listener: devices, cert: &s.plant.deviceCert, protector: sign, inbox: s.device}, "plant/press-7/cmd/#"},
		{person{id: "press-8", user: "press-8", listener: plain, wire: s.toOther, protector: signOther, inbox: s.other}, "plant/press-8/cmd/#"},
		{person{id: "desk", user: "maria", listener: plain, wire: s.toDesk, protector: sealed, inbox: s.desk}, "plant/+/sealed/#"},
		{person{id: "desk sums", user: "maria", listener: secure, protector: sums, inbox: s.sums}, "plant/+/sum/#"},
	} {
		if _, err := s.subscribe(ctx, c.who, c.filter); err != nil {
			return err
		}
	}
	if s.evil, err = s.dial(ctx, person{id: "somebody", user: "operator", listener: secure}); err != nil {
		return err
	}
	return s.enterMaria(ctx)
}

// enterMaria sends a command in one session of maria's, which the operator keeps, and opens the next.
func (s *stage) enterMaria(ctx context.Context) error {
	for session := range 2 {
		keys, err := protecting.Open(filepath.Join(s.dir, "keys", "maria"), keyring.Secret{})
		if err != nil {
			return err
		}
		seals, err := sealing(keys, protecting.LevelSign, []string{"maria"})
		if err != nil {
			return err
		}
		if s.maria, err = s.dial(ctx, person{id: "maria", user: "maria", listener: secure, protector: seals}); err != nil {
			return err
		}
		if err := s.command(ctx, "start"); err != nil {
			return err
		}
		if session == 0 {
			e, _ := s.operator.find(startTopic, 0)
			s.old = e.payload
		}
	}
	return nil
}

// command sends a command of maria's to press-7, and returns when press-7 has it.
func (s *stage) command(ctx context.Context, text string) error {
	n, seen := s.device.count(startTopic)+1, s.operator.count(startTopic)+1
	if err := s.maria.Publish(ctx, &client.Message{Topic: startTopic, Payload: []byte(text), QoS: mqtt.AtLeastOnce}); err != nil {
		return err
	}
	return await(ctx, "press-7 and the operator to get a command", func() bool {
		return s.device.count(startTopic) >= n && s.operator.count(startTopic) >= seen
	})
}

// lastOn is the last payload that the operator saw on a topic.
func (s *stage) lastOn(topic string) []byte {
	s.operator.mu.Lock()
	defer s.operator.mu.Unlock()
	for i := len(s.operator.events) - 1; i >= 0; i-- {
		if s.operator.events[i].topic == topic {
			return s.operator.events[i].payload
		}
	}
	return nil
}

// send publishes bytes as they are, QoS 1. A refusal is no error here: it is found in the broker's records.
func send(ctx context.Context, c *client.Client, topic string, payload []byte) error {
	err := c.Publish(ctx, &client.Message{Topic: topic, Payload: payload, QoS: mqtt.AtLeastOnce})
	var no *client.PublishError
	if errors.As(err, &no) {
		return nil
	}
	return err
}

// intrude connects somebody with a stolen or a borrowed account, who sends bytes as they are.
func (s *stage) intrude(ctx context.Context, id, user, topic string, payload []byte) error {
	c, err := s.dial(ctx, person{id: id, user: user, listener: secure})
	if err != nil {
		return err
	}
	return send(ctx, c, topic, payload)
}

// flip changes one bit of a payload.
func flip(topic string, payload []byte) (string, []byte) {
	payload[len(payload)-1] ^= 1
	return topic, payload
}

// recompute changes a text and its checksum.
func recompute(topic string, payload []byte) (string, []byte) {
	const head = 4 + 32
	text := payload[head:]
	text[0] = '9'
	return topic, protect.AppendChecksum(nil, protect.ChecksumPrefix, text)
}
