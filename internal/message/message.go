// Package message holds one routed Application Message: what is left of a PUBLISH or a Will once the broker has
// accepted it. A Message is immutable, so that any number of sessions, retained topics and encoders share it.
package message

import (
	"unsafe"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
)

// Message is an accepted Application Message. All fields are set by New or Restore and never change afterwards; a
// *Message may be used by many goroutines at once.
type Message struct {
	data     []byte // Topic Name, then encoded properties, then payload, in one allocation
	topicLen uint32
	propsLen uint32

	// ExpiresAt is the moment, in Unix nanoseconds, at which the Message Expiry Interval ends; 0 means never.
	// [MQTT-3.3.2-5]
	ExpiresAt int64
	// ReceivedAt is the broker's clock at acceptance, in Unix nanoseconds.
	ReceivedAt int64
	// Author is who published it; rights are checked against it again whenever a stored message is delivered.
	Author *identity.Principal
	// ClientID is the Client Identifier of the publisher; empty for messages of the broker itself.
	ClientID string
	// QoS is the quality of service with which it was published.
	QoS mqtt.QoS
	// Retain is the RETAIN flag with which it was published.
	Retain bool
	// Sealed: the payload is sealed by the broker for itself, so that it rests protected. It is opened when it is
	// delivered, and never leaves in this form.
	Sealed bool
}

// New copies what it needs out of a parsed PUBLISH (or a Will put into that form), so the packet's buffer may be
// reused at once. now is in Unix nanoseconds. Topic must already be resolved from its alias.
func New(p *mqtt.Publish, clientID string, author *identity.Principal, now int64) *Message {
	n := len(p.Topic) + len(p.Payload)
	if p.Properties.Present != 0 {
		n += 64 + len(p.Properties.ContentType) + len(p.Properties.ResponseTopic) + len(p.Properties.CorrelationData)
		for i := range p.Properties.User {
			n += 5 + len(p.Properties.User[i].Key) + len(p.Properties.User[i].Value)
		}
	}
	m := allocate(n)
	m.ReceivedAt, m.Author, m.ClientID, m.QoS, m.Retain = now, author, clientID, p.QoS, p.Retain
	if p.Properties.Has(mqtt.PropMessageExpiry) {
		m.ExpiresAt = now + int64(p.Properties.MessageExpiry)*1e9
	}
	data := append(m.data, p.Topic...)
	m.topicLen = uint32(len(data))
	data = AppendForwarded(data, &p.Properties)
	m.propsLen = uint32(len(data)) - m.topicLen
	m.data = append(data, p.Payload...)
	return m
}

// allocate returns a Message with room for n bytes of data. A small one is a single piece of memory, of a size that the
// allocator has a class for.
func allocate(n int) *Message {
	const own = unsafe.Sizeof(Message{})
	switch {
	case n <= int(128-own):
		m := new(struct {
			Message
			room [128 - own]byte
		})
		m.data = m.room[:0]
		return &m.Message
	case n <= int(192-own):
		m := new(struct {
			Message
			room [192 - own]byte
		})
		m.data = m.room[:0]
		return &m.Message
	case n <= int(256-own):
		m := new(struct {
			Message
			room [256 - own]byte
		})
		m.data = m.room[:0]
		return &m.Message
	default:
		return &Message{data: make([]byte, 0, n)}
	}
}

// Restore builds a Message from stored parts: props is what Properties returned before. It keeps data's memory, which
// must be topic, props and payload one after the other and must not be changed by the caller afterwards.
func Restore(data []byte, topicLen, propsLen int) *Message {
	return &Message{data: data, topicLen: uint32(topicLen), propsLen: uint32(propsLen)}
}

// WithPayload returns a copy of the message with another payload.
func (m *Message) WithPayload(payload []byte) *Message {
	n := *m
	n.data = append(append(make([]byte, 0, int(m.topicLen+m.propsLen)+len(payload)), m.data[:m.topicLen+m.propsLen]...), payload...)
	return &n
}

// Data returns topic, encoded properties and payload in one piece, with the lengths of the first two, for storing.
// The caller must not change it.
func (m *Message) Data() (data []byte, topicLen, propsLen int) {
	return m.data, int(m.topicLen), int(m.propsLen)
}

// Topic returns the Topic Name. It shares the message's memory, which never changes.
func (m *Message) Topic() string {
	if m.topicLen == 0 {
		return ""
	}
	return unsafe.String(&m.data[0], int(m.topicLen))
}

// Properties returns the forwarded MQTT 5 properties in wire form, without a length in front: Payload Format
// Indicator, Content Type, Response Topic, Correlation Data and User Properties in their order. The caller must not
// change it.
func (m *Message) Properties() []byte { return m.data[m.topicLen : m.topicLen+m.propsLen] }

// Payload returns the payload. The caller must not change it.
func (m *Message) Payload() []byte { return m.data[m.topicLen+m.propsLen:] }

// Size is the memory the message holds, in bytes, as counted against queue limits.
func (m *Message) Size() int { return len(m.data) + 128 }

// Expired reports whether the Message Expiry Interval has passed at now (Unix nanoseconds).
func (m *Message) Expired(now int64) bool { return m.ExpiresAt != 0 && now >= m.ExpiresAt }

// ExpiryLeft returns the Message Expiry Interval to forward, in seconds: the received value less the time waited,
// never below 1 while the message lives [MQTT-3.3.2-6]. ok is false when the message never expires.
func (m *Message) ExpiryLeft(now int64) (seconds uint32, ok bool) {
	if m.ExpiresAt == 0 {
		return 0, false
	}
	left := (m.ExpiresAt - now + 1e9 - 1) / 1e9
	return uint32(max(left, 1)), true
}

// AppendForwarded appends, in wire form and without a length in front, the properties a server must forward unaltered
// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]. Message Expiry
// Interval, Topic Alias and Subscription Identifiers are the sender's or the subscriber's and are left out.
func AppendForwarded(dst []byte, p *mqtt.Properties) []byte {
	if p.Present == 0 {
		return dst
	}
	if p.Has(mqtt.PropPayloadFormat) {
		dst = append(dst, byte(mqtt.PropPayloadFormat), p.PayloadFormat)
	}
	if p.Has(mqtt.PropContentType) {
		dst = appendString(append(dst, byte(mqtt.PropContentType)), p.ContentType)
	}
	if p.Has(mqtt.PropResponseTopic) {
		dst = appendString(append(dst, byte(mqtt.PropResponseTopic)), p.ResponseTopic)
	}
	if p.Has(mqtt.PropCorrelationData) {
		dst = append(dst, byte(mqtt.PropCorrelationData), byte(len(p.CorrelationData)>>8), byte(len(p.CorrelationData)))
		dst = append(dst, p.CorrelationData...)
	}
	for i := range p.User {
		dst = appendString(append(dst, byte(mqtt.PropUser)), p.User[i].Key)
		dst = appendString(dst, p.User[i].Value)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	dst = append(dst, byte(len(s)>>8), byte(len(s)))
	return append(dst, s...)
}
