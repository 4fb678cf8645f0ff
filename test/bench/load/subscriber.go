package load

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// subscriber is one client that receives. It has one goroutine, which counts and acknowledges all that one read brought.
type subscriber struct {
	*link
	flows    []*flow   // by publisher
	seen     []numbers // by publisher
	fresh    []int64   // by publisher: deliveries of this read
	touched  []uint32  // publishers with fresh deliveries
	trailer  int       // bytes behind the tag
	open     numbers   // QoS 2: identifiers between PUBREC and PUBREL; made when needed
	reply    []byte
	times    times
	measure  *atomic.Bool // times are kept only while it is set
	received atomic.Int64 // duplicates included
	// The rest is of the goroutine, and of whoever waited for its end.
	unique, duplicated, foreign int64
	now                         time.Duration // of the read
	timed                       bool
}

func newSubscriber(o *Options, l *link, flows []*flow, measure *atomic.Bool) *subscriber {
	s := &subscriber{link: l, flows: flows, seen: make([]numbers, len(flows)), fresh: make([]int64, len(flows)), measure: measure}
	if o.Signing != "" {
		s.trailer = signatureSize
	}
	return s
}

// receive goes on until the connection ends. What came together with the answer to SUBSCRIBE is there already.
func (s *subscriber) receive() error {
	for {
		if err := s.handle(); err != nil {
			return err
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// handle takes what was read.
func (s *subscriber) handle() error {
	s.now, s.timed = time.Since(epoch), s.measure.Load()
	if err := s.each(s.packet); err != nil {
		return err
	}
	if len(s.reply) > 0 {
		if _, err := s.Write(s.reply); err != nil {
			return err
		}
		s.reply = s.reply[:0]
	}
	all := int64(0)
	for _, p := range s.touched {
		s.flows[p].arrive(s.fresh[p])
		all += s.fresh[p]
		s.fresh[p] = 0
	}
	s.touched = s.touched[:0]
	s.received.Add(all)
	return nil
}

// leaveCounting says DISCONNECT, and counts what was on its way without acknowledging it.
func (s *subscriber) leaveCounting() {
	_ = s.SetDeadline(time.Now().Add(time.Second))
	if s.send(&mqtt.Disconnect{}) == nil {
		for s.fill() == nil && s.each(s.packet) == nil {
			s.reply = s.reply[:0]
		}
	}
	_ = s.Close()
}

func (s *subscriber) packet(t mqtt.PacketType, frame []byte, header int) error {
	switch t {
	case mqtt.TypePublish:
		return s.publish(frame)
	case mqtt.TypePubrel:
		id, _ := acknowledged(frame, header)
		s.open.remove(uint32(id))
		s.reply = appendAck(s.reply, mqtt.TypePubcomp, id)
	case mqtt.TypeDisconnect:
		return fmt.Errorf("the broker closes the connection of a subscriber: %x", frame)
	}
	return nil
}

func (s *subscriber) publish(frame []byte) error {
	if qos := mqtt.QoS(frame[0] >> 1 & 3); qos > 0 {
		at := mqtt.PacketIDOffset(frame)
		if at < 0 {
			return fmt.Errorf("a PUBLISH of %d bytes has no Packet Identifier", len(frame))
		}
		id := binary.BigEndian.Uint16(frame[at:])
		if qos == 1 {
			s.reply = appendAck(s.reply, mqtt.TypePuback, id)
		} else {
			s.reply = appendAck(s.reply, mqtt.TypePubrec, id)
			if !s.open.add(uint32(id)) {
				return nil // sent again within its exchange, which is no second delivery
			}
		}
	}
	t, ok := tagOf(frame, s.trailer)
	if !ok || int(t.publisher) >= len(s.flows) || int64(t.number) >= s.flows[t.publisher].sent.Load() {
		s.foreign++
		return nil
	}
	if s.fresh[t.publisher] == 0 {
		s.touched = append(s.touched, t.publisher)
	}
	s.fresh[t.publisher]++
	if s.seen[t.publisher].add(t.number) {
		s.unique++
	} else {
		s.duplicated++
	}
	if s.timed {
		s.times.add(s.now - t.sent)
	}
	return nil
}
