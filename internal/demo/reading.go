package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/internal/wiretap"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// readingText is what the sensor says. Searching a recording for it is how a trial decides whether it can be read.
const readingText = "21.5 °C"

// read sends one reading in three ways, and writes down what each who is on its way can see.
func (s *stage) read(ctx context.Context) error {
	room := &inbox{}
	if _, err := s.subscribe(ctx, person{id: "control room", user: "maria", listener: secure, inbox: room}, readingTopic); err != nil {
		return err
	}
	for _, way := range []struct {
		name     string
		listener int
	}{{"by password login", plain}, {"over TLS", secure}} {
		w, err := s.wire(way.listener)
		if err != nil {
			return err
		}
		c, err := s.dial(ctx, person{id: "press-7 " + way.name, user: "press-7", listener: way.listener, wire: w})
		if err != nil {
			return err
		}
		n, seen := room.size(), s.operator.count(readingTopic)
		if err := send(ctx, c, readingTopic, []byte(readingText)); err != nil {
			return err
		}
		if err := s.arrived(ctx, room, readingTopic, n, seen); err != nil {
			return err
		}
		e, _ := room.find(readingTopic, n)
		s.readings = append(s.readings, s.reading(way.name, w, readingTopic, e, "plain, nothing verified"))
	}
	return s.readSealed(ctx)
}

// arrived waits until a receiver has a message behind its first skip ones, and the operator more of the topic than seen.
func (s *stage) arrived(ctx context.Context, b *inbox, topic string, skip, seen int) error {
	return await(ctx, "a reading", func() bool {
		_, ok := b.find(topic, skip)
		return ok && s.operator.count(topic) > seen
	})
}

// readSealed sends it sealed, without TLS and without a password.
func (s *stage) readSealed(ctx context.Context) error {
	w, err := s.wire(plain)
	if err != nil {
		return err
	}
	if err := s.sealed(ctx, "press-7 sealed", w); err != nil {
		return err
	}
	if err := s.arrived(ctx, s.desk, sealedTopic, 0, 0); err != nil {
		return err
	}
	e, _ := s.desk.find(sealedTopic, 0)
	if e.err != nil {
		return fmt.Errorf("the sealed reading was refused: %w", errors.Join(e.err, errors.New(protecting.WhyNot(e.err))))
	}
	s.readings = append(s.readings, s.reading("sealed by SealMQ", w, sealedTopic, e, "sealed to desk, signed by press-7"))
	return nil
}

// reading is what could be seen of a message.
func (s *stage) reading(way string, w *wiretap.Wire, topic string, e event, label string) Reading {
	password := s.passwords["press-7"]
	seen := s.lastOn(topic)
	r := Reading{
		Way: way, Sent: readingText, Received: string(e.payload), Label: label,
		WireReads: w.Recorded(readingText), PasswordShows: w.Recorded(password),
		OperatorReads: bytes.Contains(seen, []byte(readingText)), Operator: shown(seen),
	}
	record := w.Recording()
	switch {
	case r.WireReads:
		r.Wire = "press-7 " + password + " " + readingText
	case bytes.Contains(record, seen):
		r.Wire = shown(seen)
	default: // the last record of application data
		r.Wire = shown(record[max(bytes.LastIndex(record, []byte{0x17, 0x03, 0x03}), 0):])
	}
	return r
}

// shown is a text as it is, and other bytes in hexadecimal.
func shown(b []byte) string {
	if string(b) == readingText {
		return readingText
	}
	const most = 8
	text := strings.TrimSpace(fmt.Sprintf("% x", b[:min(len(b), most)]))
	if len(b) > most {
		text += fmt.Sprintf(" … %d bytes", len(b))
	}
	return text
}

// sealedReading sends one more sealed reading.
func (s *stage) sealedReading(ctx context.Context, id string) error { return s.sealed(ctx, id, nil) }

func (s *stage) sealed(ctx context.Context, id string, w *wiretap.Wire) error {
	seals, err := sealing(s.press, protecting.LevelSignEncrypt, []string{"press-7"}, "desk")
	if err != nil {
		return err
	}
	cred, err := s.credential(keyring.UseP3)
	if err != nil {
		return err
	}
	c, err := s.dial(ctx, person{id: id, user: "press-7", listener: plain, wire: w, cred: cred, protector: seals})
	if err != nil {
		return err
	}
	return c.Publish(ctx, &client.Message{Topic: sealedTopic, Payload: []byte(readingText), QoS: mqtt.AtLeastOnce})
}

// signAs signs a message with the key of one and the name of another.
func (s *stage) signAs(who, as, topic, text string) ([]byte, error) {
	own, err := s.neighbour.Sealing(who, keyring.UseSign)
	if err != nil {
		return nil, err
	}
	theirs, err := s.plant.desk.Sealing(as, keyring.UseSign)
	if err != nil {
		return nil, err
	}
	rec := own.Clone()
	rec.Topics, rec.Sender.ID = theirs.Topics, theirs.Sender.ID
	session, err := protect.NewSession(1<<24, nil)
	if err != nil {
		return nil, err
	}
	sealer, err := protect.NewSealer(protect.SealerConfig{Key: rec, Session: session, Clock: now, Timestamp: true})
	if err != nil {
		return nil, err
	}
	out, err := sealer.Seal(nil, &protect.Message{Topic: topic, Payload: []byte(text)})
	return bytes.ReplaceAll(out, rec.KID, theirs.KID), err
}
