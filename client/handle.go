package client

import (
	"github.com/sealmq/sealmq/mqtt"
)

// handle acts on one packet of the server. An error ends the connection.
func (c *Client) handle(l *link, h mqtt.Header, body []byte) error {
	switch h.Type {
	case mqtt.TypePublish:
		return c.onPublish(l, h.Flags, body)
	case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp:
		return c.handleAck(l, h, body)
	case mqtt.TypeSuback:
		var p mqtt.Suback
		if err := p.Parse(l.v, h.Flags, body); err != nil {
			return err
		}
		return c.onSuback(&p)
	case mqtt.TypeUnsuback:
		var p mqtt.Unsuback
		if err := p.Parse(l.v, h.Flags, body); err != nil {
			return err
		}
		return c.onUnsuback(l, &p)
	case mqtt.TypePingresp:
		var p mqtt.Pingresp
		return p.Parse(l.v, h.Flags, body) // lastRead has been set
	case mqtt.TypeDisconnect:
		if l.v == mqtt.V5 {
			var p mqtt.Disconnect
			if err := p.Parse(l.v, h.Flags, body); err != nil {
				return err
			}
			return disconnectError(&p)
		}
	case mqtt.TypeAuth:
		var p mqtt.Auth
		if err := p.Parse(l.v, h.Flags, body); err != nil {
			return err
		}
		return c.onAuth(l, &p)
	}
	return &mqtt.Error{Code: mqtt.ProtocolError, Clause: "MQTT 5 §2.1.2"} // a packet that only clients send
}

// handleAck acts on the four acknowledgements of QoS 1 and 2.
func (c *Client) handleAck(l *link, h mqtt.Header, body []byte) error {
	switch h.Type {
	case mqtt.TypePuback:
		p := &c.ackIn
		if err := p.Parse(l.v, h.Flags, body); err != nil {
			return err
		}
		c.onAcknowledged(p.PacketID, p.ReasonCode, &p.Properties, awaitsPuback)
		return nil
	case mqtt.TypePubrec:
		p := &c.recIn
		if err := p.Parse(l.v, h.Flags, body); err != nil {
			return err
		}
		if p.ReasonCode.IsError() {
			c.onAcknowledged(p.PacketID, p.ReasonCode, &p.Properties, awaitsPubrec)
			return nil
		}
		return c.onPubrec(l, p.PacketID, p.ReasonCode)
	case mqtt.TypePubrel:
		p := &c.relIn
		if err := p.Parse(l.v, h.Flags, body); err != nil {
			return err
		}
		return c.onPubrel(l, p.PacketID)
	default:
		p := &c.compIn
		if err := p.Parse(l.v, h.Flags, body); err != nil {
			return err
		}
		// A PUBCOMP with 0x92 means that the server has nothing left to release: the message is complete all the same,
		// MQTT 5 §4.3.3.
		c.onAcknowledged(p.PacketID, mqtt.Success, &p.Properties, awaitsPubcomp)
		return nil
	}
}

// disconnectError makes an error of a DISCONNECT, in memory of its own.
func disconnectError(p *mqtt.Disconnect) error {
	p = p.Clone()
	return &DisconnectError{
		Code: p.ReasonCode, ReasonString: p.Properties.ReasonString, ServerReference: p.Properties.ServerReference,
	}
}
