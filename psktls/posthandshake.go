package psktls

// postHandshake handles the messages that may follow the handshake: KeyUpdate
// and tickets in TLS 1.3, attempts to renegotiate in TLS 1.2.
func (c *Conn) postHandshake(payload []byte) error {
	if err := c.in.collect(payload); err != nil {
		return err
	}
	for {
		msg, err := c.in.nextMessage()
		if msg == nil || err != nil {
			return err
		}
		if err := c.in.waste(messageName(msg[0])); err != nil {
			return err
		}
		switch {
		case c.state.Version == VersionTLS13 && msg[0] == typeKeyUpdate:
			err = c.receiveKeyUpdate(msg)
		case c.state.Version == VersionTLS13 && msg[0] == typeNewSessionTicket && c.client:
			// Resumption is out of scope; the ticket is dropped.
		case c.state.Version == VersionTLS12 && msg[0] == typeHelloRequest && c.client && len(msg) == messageHeaderLen:
			// A client may ignore it, RFC 5246 §7.4.1.1.
		case c.state.Version == VersionTLS12 && msg[0] == typeClientHello && !c.client:
			err = refuse(CheckRenego, AlertNoRenegotiation, "application data", "a renegotiation")
		default:
			err = refuse(CheckMessage, AlertUnexpectedMessage, "application data", messageName(msg[0]))
		}
		if err != nil {
			return err
		}
	}
}

// KeyUpdateRequest, RFC 8446 §4.6.3.
const (
	updateNotRequested = 0
	updateRequested    = 1
)

// receiveKeyUpdate moves to the peer's next key. The answer, if the peer asks
// for one, is due before our next application data (RFC 8446 §4.6.3) and left
// to Write; however many requests come meanwhile, it is one.
func (c *Conn) receiveKeyUpdate(msg []byte) error {
	if len(msg) != messageHeaderLen+1 {
		return malformed("KeyUpdate")
	}
	request := msg[messageHeaderLen]
	if request > updateRequested {
		return refuse(CheckMessage, AlertIllegalParameter, "a KeyUpdateRequest of 0 or 1", "another value")
	}
	if err := c.atKeyChange(); err != nil {
		return err
	}
	if err := c.in.update(); err != nil {
		return err
	}
	if request == updateRequested {
		c.updateDue.Store(true)
	}
	return nil
}

// sendKeyUpdate announces and installs our next key. out.mu is held.
func (c *Conn) sendKeyUpdate(ask bool) error {
	request := byte(updateNotRequested)
	if ask {
		request = updateRequested
	}
	msg := []byte{typeKeyUpdate, 0, 0, 1, request}
	if err := c.out.writeRecord(c.transport, recordHandshake, msg); err != nil {
		return err
	}
	if err := c.out.update(); err != nil {
		c.out.err = err
		return err
	}
	return nil
}
