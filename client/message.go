package client

import "github.com/sealmq/sealmq/mqtt"

// Message is one Application Message.
//
// Outbound: the client copies what it needs before Publish or PublishAsync returns; the message may be used again.
// Inbound: the message belongs to the receiver, for as long as it likes.
type Message struct {
	Topic   string // Topic Name
	Payload []byte // may be empty
	QoS     mqtt.QoS
	Retain  bool
	// Properties are those of MQTT 5; nil means none. On other versions outbound properties are not sent.
	Properties *mqtt.Properties

	// Duplicate is the DUP flag of an inbound message: the server may have sent it before.
	Duplicate bool
	// PacketID is the Packet Identifier of an inbound QoS 1 or 2 message, else 0.
	PacketID mqtt.PacketID

	delivery delivery
}

// delivery connects an inbound message with its place among the acknowledgements.
type delivery struct {
	client *Client // nil: nothing to acknowledge
	number uint64  // unique among the client's deliveries
}

// Ack acknowledges an inbound message when Config.ManualAcks is set; otherwise, and for QoS 0, and when called again,
// it does nothing. Acknowledgements leave in the order in which the messages came, so one that is never acknowledged
// holds back all later ones [MQTT-4.6.0-2] [MQTT-4.6.0-3]. After the connection it came through has ended, a QoS 1
// message is not acknowledged: the server sends it again.
func (m *Message) Ack() {
	if m.delivery.client != nil {
		m.delivery.client.acknowledge(m)
	}
}

// Ack is the answer of the server to a published message.
type Ack struct {
	// Code is Success, or NoMatchingSubscribers where the server says so; refusals are a *PublishError.
	Code         mqtt.ReasonCode
	ReasonString string // text of the server, untrusted
}

// newInbound copies a parsed PUBLISH into memory of its own. topic is its Topic Name after alias resolution, in memory
// that is not reused.
func newInbound(p *mqtt.Publish, topic string) *Message {
	m := &Message{Topic: topic, QoS: p.QoS, Retain: p.Retain, Duplicate: p.Dup, PacketID: p.PacketID}
	if len(p.Payload) > 0 {
		m.Payload = append(make([]byte, 0, len(p.Payload)), p.Payload...)
	}
	if p.Properties.Present != 0 {
		props := p.Properties.Clone()
		m.Properties = &props
	}
	return m
}
