package session

import (
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// publish takes the Packet Identifier of an inbound QoS 2 message. The message is routed once, here, before PUBREC
// (method B of the standard); the same identifier again is the same message until PUBREL [MQTT-4.3.3-10].
func (s *Session) publish(pid mqtt.PacketID, fx *Effects) {
	if counted, ok := s.inbound.get(pid); ok {
		fx.Outcome = Duplicate
		fx.Opened = !counted
		s.inbound.put(pid, true)
		return
	}
	s.receive(pid, true)
	fx.Opened = true
	if s.durable {
		fx.Batch.Add(store.Op{Kind: store.PutInbound, Session: s.id, PacketID: pid})
		fx.Batch.Sync = true
	}
}

// receive notes an identifier that is not in use.
func (s *Session) receive(pid mqtt.PacketID, counted bool) {
	if s.inbound == nil {
		s.inbound = new(idSet)
	}
	s.inbound.put(pid, counted)
}

// forgetInbound forgets the Packet Identifier: PUBREL arrived, or the message was refused [MQTT-4.3.3-11].
func (s *Session) forgetInbound(pid mqtt.PacketID, fx *Effects) {
	counted, ok := s.inbound.get(pid)
	if !ok {
		fx.Outcome = Unknown
		return
	}
	s.inbound.remove(pid)
	fx.Closed = counted
	if s.durable {
		fx.Batch.Add(store.Op{Kind: store.DeleteInbound, Session: s.id, PacketID: pid})
		fx.Batch.Sync = true
	}
}
