package broker

import (
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
)

// handleDisconnect ends the connection in order. Only a normal disconnection drops the Will [MQTT-3.14.4-3]: the other
// codes either ask for it or say that something went wrong [MQTT-3.1.2-8].
func (c *conn) handleDisconnect(w *work, h mqtt.Header, body []byte) error {
	var p mqtt.Disconnect
	if err := p.Parse(c.version, h.Flags, body); err != nil {
		return err
	}
	s := c.session
	batch := getBatch()
	s.mu.Lock()
	if s.conn != c {
		s.mu.Unlock()
		putBatch(batch)
		return nil
	}
	if p.Properties.Has(mqtt.PropSessionExpiry) {
		if s.expiry == 0 && p.Properties.SessionExpiry != 0 {
			s.mu.Unlock()
			putBatch(batch)
			return refuse(errProtocol, "MQTT-3.14.2-2", "session expiry raised from 0 in disconnect")
		}
		c.b.changeExpiry(s, min(p.Properties.SessionExpiry, c.b.settings().SessionExpiryMax), batch)
	}
	if p.ReasonCode == mqtt.NormalDisconnection && s.will != nil {
		s.dropWill(batch)
	}
	stored := c.b.submit(batch) // with mu, or the removal of the session might come first, and the row bring it back
	s.mu.Unlock()
	if err := <-stored; err != nil {
		return err
	}
	w.bye = true
	c.endOnce.Do(func() {
		c.cause = errClosedByClient
		close(c.ended)
		c.flush()
		if c.out.pending() > 0 {
			c.linger()
		}
		c.leave()
	})
	return nil
}

// changeExpiry applies the Session Expiry Interval of a DISCONNECT. s.mu is held.
func (b *Broker) changeExpiry(s *clientSession, expiry uint32, batch *store.Batch) {
	s.expiry = expiry
	if s.state.Durable() {
		batch.Add(store.Op{Kind: store.PutSession, Session: s.id(), Meta: s.row()})
		batch.Sync = true
	}
}
