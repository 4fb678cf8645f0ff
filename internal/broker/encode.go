package broker

import (
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/mqtt"
)

// outgoing is a PUBLISH to be encoded, in the parts that all receivers share.
type outgoing struct {
	topic     string
	payload   []byte
	props     []byte // forwarded properties in wire form
	expiry    uint32 // Message Expiry Interval left, seconds
	hasExpiry bool
}

// copyFor is what differs between the copies of one message.
type copyFor struct {
	version mqtt.Version
	qos     mqtt.QoS
	dup     bool
	retain  bool
	pid     mqtt.PacketID
	ids     []uint32 // Subscription Identifiers
	alias   uint16   // Topic Alias to send, 0 for none
	bare    bool     // leave the topic out: the client knows the alias
}

func (o *outgoing) of(m *message.Message, now int64) {
	o.topic, o.payload, o.props = m.Topic(), m.Payload(), m.Properties()
	o.expiry, o.hasExpiry = m.ExpiryLeft(now)
}

// remaining returns the Remaining Length and the property length of the copy.
func (o *outgoing) remaining(f *copyFor) (n, props int) {
	n = 2 + len(o.payload)
	if !f.bare {
		n += len(o.topic)
	}
	if f.qos > 0 {
		n += 2
	}
	if f.version < mqtt.V5 {
		return n, 0
	}
	props = len(o.props)
	if o.hasExpiry {
		props += 5
	}
	if f.alias != 0 {
		props += 3
	}
	for _, id := range f.ids {
		props += 1 + varintLen(id)
	}
	return n + varintLen(uint32(props)) + props, props
}

// size returns the length of the encoded copy in bytes.
func (o *outgoing) size(f *copyFor) int {
	n, _ := o.remaining(f)
	return 1 + varintLen(uint32(n)) + n
}

// appendTo appends the encoded copy.
func (o *outgoing) appendTo(dst []byte, f *copyFor) []byte {
	n, props := o.remaining(f)
	first := byte(mqtt.TypePublish)<<4 | byte(f.qos)<<1
	if f.dup {
		first |= 8
	}
	if f.retain {
		first |= 1
	}
	dst = appendVarint(append(dst, first), uint32(n))
	if f.bare {
		dst = append(dst, 0, 0)
	} else {
		dst = append(dst, byte(len(o.topic)>>8), byte(len(o.topic)))
		dst = append(dst, o.topic...)
	}
	if f.qos > 0 {
		dst = append(dst, byte(f.pid>>8), byte(f.pid))
	}
	if f.version >= mqtt.V5 {
		dst = appendVarint(dst, uint32(props))
		if o.hasExpiry {
			e := o.expiry
			dst = append(dst, byte(mqtt.PropMessageExpiry), byte(e>>24), byte(e>>16), byte(e>>8), byte(e))
		}
		if f.alias != 0 {
			dst = append(dst, byte(mqtt.PropTopicAlias), byte(f.alias>>8), byte(f.alias))
		}
		for _, id := range f.ids {
			dst = appendVarint(append(dst, byte(mqtt.PropSubscriptionID)), id)
		}
		dst = append(dst, o.props...)
	}
	return append(dst, o.payload...)
}

func appendVarint(dst []byte, v uint32) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

func varintLen(v uint32) int {
	switch {
	case v < 1<<7:
		return 1
	case v < 1<<14:
		return 2
	case v < 1<<21:
		return 3
	default:
		return 4
	}
}
