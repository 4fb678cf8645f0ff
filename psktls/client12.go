package psktls

import (
	"bytes"
	"hash"
	"slices"
)

// client12 is the client's side of server12.
type client12 struct {
	c          *Conn
	hello      *clientHello
	reply      *serverHello
	suite      *suite
	transcript hash.Hash
}

func (hs *client12) run() error {
	if err := hs.checkReply(); err != nil {
		return err
	}
	hs.transcript = hs.suite.newHash()
	hs.transcript.Write(hs.hello.raw)
	hs.transcript.Write(hs.reply.raw)
	share, err := hs.readServerFlight()
	if err != nil {
		return err
	}
	schedule, err := hs.sendKeyExchange(share)
	if schedule != nil {
		defer schedule.wipe()
	}
	if err != nil {
		return err
	}
	return hs.readFinished(schedule, share.group)
}

// checkReply checks the ServerHello of TLS 1.2.
func (hs *client12) checkReply() error {
	c, r := hs.c, hs.reply
	var err error
	if hs.suite, err = selectedSuite(r.suite, c.settings.suites12); err != nil {
		return err
	}
	if err := r.checkExtensions(); err != nil {
		return err
	}
	switch {
	case r.hasShare || r.hasIdentity || r.cookie != nil:
		return refuse(CheckExtension, AlertIllegalParameter, "extensions of TLS 1.2", "one of TLS 1.3")
	case len(r.sessionID) > 0 && bytes.Equal(r.sessionID, hs.hello.sessionID):
		return refuse(CheckMessage, AlertIllegalParameter, "a new session", "a resumption that was not offered")
	case !r.hasEMS:
		return refuse(CheckEMS, AlertHandshakeFailure, "extended_master_secret", "none")
	case r.renegotiation == nil:
		// Stricter than RFC 5746 §3.4, which leaves it to policy: a server
		// without it may be open to a spliced renegotiation.
		return refuse(CheckRenego, AlertHandshakeFailure, "renegotiation_info", "none")
	case len(r.renegotiation) > 0:
		return refuse(CheckRenego, AlertHandshakeFailure, "an initial handshake", "a renegotiation")
	}
	return c.settings.checkALPN(r.alpn)
}

// readServerFlight reads ServerKeyExchange, which plain PSK may leave out, and
// ServerHelloDone.
func (hs *client12) readServerFlight() (share keyShare, err error) {
	c := hs.c
	raw, err := c.readMessageOf(typeServerKeyExchange, typeServerHelloDone)
	if err != nil {
		return share, err
	}
	switch {
	case raw[0] == typeServerKeyExchange:
		if share, err = parseServerKeyExchange(raw, hs.suite.ecdhe); err != nil {
			return share, err
		}
		hs.transcript.Write(raw)
		if raw, err = c.readMessage(typeServerHelloDone); err != nil {
			return share, err
		}
	case hs.suite.ecdhe:
		return share, refuse(CheckMessage, AlertUnexpectedMessage, messageName(typeServerKeyExchange), messageName(raw[0]))
	}
	if len(raw) != messageHeaderLen {
		return share, malformed("ServerHelloDone")
	}
	if hs.suite.ecdhe && !slices.Contains(c.settings.groups, share.group) {
		return share, refuse(CheckGroup, AlertIllegalParameter, groupNames(c.settings.groups), GroupName(share.group))
	}
	hs.transcript.Write(raw)
	return share, nil
}

// sendKeyExchange sends ClientKeyExchange, ChangeCipherSpec and Finished with one
// write.
func (hs *client12) sendKeyExchange(share keyShare) (*schedule12, error) {
	c, s := hs.c, hs.c.settings
	var public, shared []byte
	if hs.suite.ecdhe {
		key, err := ephemeral(share.group)
		if err != nil {
			return nil, err
		}
		if shared, err = sharedSecret(key, share.group, share.data); err != nil {
			return nil, err
		}
		public = key.PublicKey().Bytes()
	}
	raw, err := marshalClientKeyExchange(s.identity, public)
	if err != nil {
		return nil, err
	}
	if err := c.queueMessages(hs.transcript, raw); err != nil {
		return nil, err
	}
	premaster := premaster12(shared, s.key)
	clear(shared)
	schedule := newSchedule12(hs.suite, premaster, hs.transcript.Sum(nil), hs.hello.random, hs.reply.random)
	return schedule, c.sendFinished12(schedule, labelClientFinished, hs.transcript)
}

// readFinished checks the server's Finished, which proves that it has the key.
func (hs *client12) readFinished(schedule *schedule12, group uint16) error {
	c := hs.c
	if err := c.readChangeCipherSpec(); err != nil {
		return err
	}
	if err := c.in.setKeys12(hs.suite, schedule.keys.serverKey, schedule.keys.serverIV); err != nil {
		return err
	}
	msg, err := c.readMessage(typeFinished)
	if err != nil {
		return serverLacksKey(err)
	}
	if err := schedule.checkFinished(msg, labelServerFinished, hs.transcript.Sum(nil)); err != nil {
		return err
	}
	if err := c.atKeyChange(); err != nil {
		return err
	}
	c.complete(hs.suite, group, hs.reply.alpn, c.settings.identity, false)
	c.exporter = exporter{suite: hs.suite, master: schedule.master, randoms: schedule.randoms}
	return nil
}
