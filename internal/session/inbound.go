package session

import (
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// publish takes the Packet Identifier of an inbound QoS 2 message. The message is routed once, here, before PUBREC
// (method B of the standard); the same identifier again is the same message until PUBREL [MQTT-4.3.3-10].
func (s *Session) publish(pid mqtt.PacketID, fx *Effects) {
	if counted, ok := s.inbound[pid]; ok {
		fx.Outcome = Duplicate
		fx.Opened = !counted
		s.inbound[pid] = true
		return
	}
	s.addInbound(pid, true)
	fx.Opened = true
	if s.durable {
		fx.Batch.Add(store.Op{Kind: store.PutInbound, Session: s.id, PacketID: pid})
		fx.Batch.Sync = true
	}
}

// forgetInbound forgets the Packet Identifier: PUBREL arrived, or the message was refused [MQTT-4.3.3-11].
func (s *Session) forgetInbound(pid mqtt.PacketID, fx *Effects) {
	counted, ok := s.inbound[pid]
	if !ok {
		fx.Outcome = Unknown
		return
	}
	delete(s.inbound, pid)
	if len(s.inbound) == 0 && s.inboundPeak > keep {
		s.inbound, s.inboundPeak = nil, 0 // a map never shrinks by itself
	}
	fx.Closed = counted
	if s.durable {
		fx.Batch.Add(store.Op{Kind: store.DeleteInbound, Session: s.id, PacketID: pid})
		fx.Batch.Sync = true
	}
}
