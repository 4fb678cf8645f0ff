package mqtt

import (
	"encoding/binary"
	"strings"
)

// Publish transports an Application Message, MQTT 5 §3.3.
type Publish struct {
	Dup        bool
	QoS        QoS
	Retain     bool
	Topic      string   // Topic Name; empty only in version 5 with a Topic Alias
	PacketID   PacketID // 0 with QoS 0 [MQTT-2.2.1-2]
	Properties Properties
	Payload    []byte
}

// Type returns TypePublish.
func (*Publish) Type() PacketType { return TypePublish }

// Parse implements Packet. Subscription Identifiers are accepted, because a server sends them; a server refuses them
// from a client [MQTT-3.3.4-6].
func (p *Publish) Parse(v Version, flags byte, body []byte) error {
	if flags&0x6 == 0x6 || flags&(flagDup|0x6) == flagDup {
		return checkFlags(TypePublish, flags, v)
	}
	p.Dup, p.QoS, p.Retain = flags&flagDup != 0, QoS(flags>>1&3), flags&flagRetain != 0
	d := decoder{b: body, v: v}
	p.Topic = d.topicName("Topic Name")
	p.PacketID = 0
	if p.QoS != AtMostOnce {
		p.PacketID = d.packetID()
	}
	if v == V5 {
		p.Properties.parse(&d, TypePublish)
	} else if p.Properties.Present != 0 {
		p.Properties.Reset()
	}
	if p.Topic == "" && !p.Properties.Has(PropTopicAlias) {
		d.emptyTopic()
	}
	p.Payload = d.rest()
	return d.err
}

// emptyTopic refuses a PUBLISH that names no topic.
func (d *decoder) emptyTopic() {
	if d.v == V5 {
		d.fail(ProtocolError, "", "MQTT 5 §3.3.2.1", "empty Topic Name without a Topic Alias")
		return
	}
	d.fail(TopicNameInvalid, "MQTT-4.7.3-1", "", "empty Topic Name")
}

// Append implements Packet.
func (p *Publish) Append(dst []byte, v Version) ([]byte, error) { return p.AppendWith(dst, v, nil) }

// AppendWith is Append with further properties that are in wire form already, without a length in front. They are
// written as they are, after those of p.Properties, and must not repeat any of them. Before version 5 they are left
// out like all properties.
func (p *Publish) AppendWith(dst []byte, v Version, encoded []byte) ([]byte, error) {
	n, props, err := p.size(v, len(encoded))
	if err != nil {
		return dst, err
	}
	flags := byte(p.QoS) << 1
	if p.Dup {
		flags |= flagDup
	}
	if p.Retain {
		flags |= flagRetain
	}
	dst = AppendHeader(dst, TypePublish, flags, n)
	dst = appendString(dst, p.Topic)
	if p.QoS != AtMostOnce {
		dst = appendUint16(dst, uint16(p.PacketID))
	}
	if v == V5 {
		dst = appendVarint(dst, uint32(props+len(encoded)))
		dst = p.Properties.appendEach(dst)
		dst = append(dst, encoded...)
	}
	return append(dst, p.Payload...), nil
}

// size returns the Remaining Length and the length of p.Properties, after checking what Parse would refuse.
func (p *Publish) size(v Version, encoded int) (n, props int, err error) {
	var s sizer
	s.field(len(p.Topic), "Topic Name")
	switch {
	case p.QoS > ExactlyOnce:
		s.fail(ProtocolError, "MQTT-3.3.1-4", "PUBLISH with QoS above 2")
	case p.QoS != AtMostOnce:
		s.packetID(p.PacketID)
	case p.Dup:
		s.fail(ProtocolError, "MQTT-3.3.1-2", "PUBLISH with DUP and QoS 0")
	}
	if p.Topic == "" && (v != V5 || !p.Properties.Has(PropTopicAlias)) {
		s.fail(TopicNameInvalid, "MQTT-4.7.3-1", "empty Topic Name")
	}
	if v == V5 {
		if props, err = p.Properties.size(TypePublish); err != nil {
			return 0, 0, err
		}
		s.n += varintLen(uint32(props+encoded)) + props + encoded
	}
	s.n += len(p.Payload)
	return s.n, props, s.finish()
}

// Clone returns a copy that shares no memory with p.
func (p *Publish) Clone() *Publish {
	c := *p
	c.Topic = strings.Clone(p.Topic)
	c.Properties = p.Properties.Clone()
	c.Payload = cloneBytes(p.Payload)
	return &c
}

// PacketIDOffset returns where the Packet Identifier starts in frame, the encoded form of a PUBLISH with a QoS above
// 0, so that one encoding serves many receivers. It returns -1 if frame is no such packet.
func PacketIDOffset(frame []byte) int {
	if len(frame) < 2 || frame[0]>>4 != byte(TypePublish) || frame[0]&0x6 == 0 {
		return -1
	}
	i := 1
	for frame[i] >= 0x80 {
		if i++; i == 5 || i == len(frame) {
			return -1
		}
	}
	i++
	if len(frame) < i+2 {
		return -1
	}
	i += 2 + int(binary.BigEndian.Uint16(frame[i:]))
	if len(frame) < i+2 {
		return -1
	}
	return i
}
