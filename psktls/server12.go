package psktls

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"hash"
	"slices"
)

// server12 is the server's handshake of TLS 1.2 with pre-shared keys, RFC 4279
// §2 and RFC 5489 §2. ServerKeyExchange is left out when it would carry neither
// hint nor ECDH parameters:
//
//	ClientHello               -------->
//	                                              ServerHello
//	                                      [ServerKeyExchange]
//	                          <--------       ServerHelloDone
//	ClientKeyExchange
//	[ChangeCipherSpec]
//	Finished                  -------->
//	                                       [ChangeCipherSpec]
//	                          <--------              Finished
type server12 struct {
	c          *Conn
	hello      *clientHello
	suite      *suite
	group      uint16 // 0 for plain PSK
	key        *ecdh.PrivateKey
	random     []byte
	transcript hash.Hash
	alpn       string
}

func (hs *server12) run() error {
	if err := hs.negotiate(); err != nil {
		return err
	}
	hs.transcript = hs.suite.newHash()
	hs.transcript.Write(hs.hello.raw)
	if err := hs.sendHello(); err != nil {
		return err
	}
	return hs.readKeyExchange()
}

// negotiate checks what TLS 1.2 must have here and settles suite, group and
// application protocol.
func (hs *server12) negotiate() error {
	h, s := hs.hello, hs.c.settings
	if !slices.Contains(h.compressions, 0) {
		return refuse(CheckMessage, AlertIllegalParameter, "null compression", "other methods only")
	}
	if len(h.renegotiation) > 0 {
		return refuse(CheckRenego, AlertHandshakeFailure, "an initial handshake", "a renegotiation")
	}
	if !h.hasEMS {
		// Stricter than RFC 7627 §5.3, which leaves it to policy.
		return refuse(CheckEMS, AlertHandshakeFailure, "extended_master_secret", "none")
	}
	if hs.group = selectGroup12(h, s.groups); hs.group != 0 {
		hs.suite = selectSuite(h.suites, s.suites12)
	} else {
		plain := slices.DeleteFunc(slices.Clone(s.suites12), func(x *suite) bool { return x.ecdhe })
		hs.suite = selectSuite(h.suites, plain)
	}
	if hs.suite == nil {
		if hs.group == 0 && selectSuite(h.suites, s.suites12) != nil {
			return refuse(CheckGroup, AlertHandshakeFailure, groupNames(s.groups), groupNames(h.groups))
		}
		return refuse(CheckSuite, AlertHandshakeFailure, suiteNames(s.suites12), offeredSuites(h.suites))
	}
	if !hs.suite.ecdhe {
		hs.group = 0
	} else if h.pointFormats != nil && !slices.Contains(h.pointFormats, uncompressedPoint) {
		return refuse(CheckGroup, AlertIllegalParameter, "uncompressed points", "other formats only")
	}
	var err error
	hs.alpn, err = selectALPN(h.alpn, s.protos)
	return err
}

// selectGroup12 follows the client's order; some clients cannot do ECDHE_PSK in
// every group they list. A client that names none gets P-256 (RFC 8422 §4).
func selectGroup12(h *clientHello, allowed []uint16) uint16 {
	offered := h.groups
	if offered == nil {
		offered = []uint16{GroupP256}
	}
	for _, g := range offered {
		if slices.Contains(allowed, g) {
			return g
		}
	}
	return 0
}

// serverRandom12 is ServerHello.random with the mark of RFC 8446 §4.1.3 if this
// server would have preferred TLS 1.3.
func (s *settings) serverRandom12() ([]byte, error) {
	random := make([]byte, randomLen)
	if _, err := rand.Read(random); err != nil {
		return nil, internal(err)
	}
	if s.maxVersion > VersionTLS12 {
		copy(random[randomLen-len(downgradeTo12):], downgradeTo12)
	}
	return random, nil
}

// sendHello sends ServerHello to ServerHelloDone with one write.
func (hs *server12) sendHello() error {
	c, h := hs.c, hs.hello
	var err error
	if hs.random, err = c.settings.serverRandom12(); err != nil {
		return err
	}
	reply := &serverHello{random: hs.random, suite: hs.suite.id, hasEMS: true, alpn: hs.alpn}
	if h.renegotiation != nil || h.offers(scsvRenegotiation) {
		reply.renegotiation = []byte{} // RFC 5746 §3.6
	}
	reply.pointFormats = hs.group != 0 && h.pointFormats != nil
	raw, err := reply.marshal()
	if err != nil {
		return err
	}
	flight := [][]byte{raw}
	var public []byte
	if hs.group != 0 {
		if hs.key, err = ephemeral(hs.group); err != nil {
			return err
		}
		public = hs.key.PublicKey().Bytes()
	}
	if hs.group != 0 || c.settings.hint != "" {
		if raw, err = marshalServerKeyExchange(c.settings.hint, hs.group, public); err != nil {
			return err
		}
		flight = append(flight, raw)
	}
	flight = append(flight, []byte{typeServerHelloDone, 0, 0, 0})
	if err := c.queueMessages(hs.transcript, flight...); err != nil {
		return err
	}
	return c.out.flush(c.transport)
}

// readKeyExchange takes ClientKeyExchange, derives the keys and goes on to the
// client's Finished. With an unknown identity the keys are random, and the
// client's Finished fails to verify like that of a wrong key.
func (hs *server12) readKeyExchange() error {
	c := hs.c
	raw, err := c.readMessage(typeClientKeyExchange)
	if err != nil {
		return err
	}
	identity, public, err := parseClientKeyExchange(raw, hs.group != 0)
	if err != nil {
		return err
	}
	hs.transcript.Write(raw)
	var shared []byte
	if hs.group != 0 {
		if shared, err = sharedSecret(hs.key, hs.group, public); err != nil {
			return err
		}
	}
	psk, err := c.lookup(identity)
	if err != nil {
		return err
	}
	premaster := premaster12(shared, psk.key)
	clear(shared)
	schedule := newSchedule12(hs.suite, premaster, hs.transcript.Sum(nil), hs.hello.random, hs.random)
	defer schedule.wipe()
	if err := c.readChangeCipherSpec(); err != nil {
		return err
	}
	if err := c.in.setKeys12(hs.suite, schedule.keys.clientKey, schedule.keys.clientIV); err != nil {
		return err
	}
	msg, err := c.readMessage(typeFinished)
	if err != nil {
		if isBadMAC(err) {
			return psk.refused(AlertBadRecordMAC, identity)
		}
		return err
	}
	if err := schedule.checkFinished(msg, labelClientFinished, hs.transcript.Sum(nil)); err != nil {
		return err
	}
	if psk.refusal != nil {
		return psk.refused(AlertBadRecordMAC, identity)
	}
	hs.transcript.Write(msg)
	return hs.finish(schedule, identity)
}

// finish answers with our ChangeCipherSpec and Finished.
func (hs *server12) finish(schedule *schedule12, identity []byte) error {
	c := hs.c
	if err := c.atKeyChange(); err != nil {
		return err
	}
	if err := c.sendFinished12(schedule, labelServerFinished, hs.transcript); err != nil {
		return err
	}
	c.complete(hs.suite, hs.group, hs.alpn, identity, false)
	c.exporter = exporter{suite: hs.suite, master: schedule.master, randoms: schedule.randoms}
	return nil
}

// sendFinished12 sends ChangeCipherSpec and Finished of either side, together
// with what the flight already holds.
func (c *Conn) sendFinished12(schedule *schedule12, label string, transcript hash.Hash) error {
	if err := c.queueChangeCipherSpec(); err != nil {
		return err
	}
	key, iv := schedule.keys.serverKey, schedule.keys.serverIV
	if c.client {
		key, iv = schedule.keys.clientKey, schedule.keys.clientIV
	}
	if err := c.out.setKeys12(schedule.suite, key, iv); err != nil {
		return err
	}
	finished := make([]byte, messageHeaderLen+finished12Len)
	finished[0], finished[3] = typeFinished, finished12Len
	schedule.finished(finished[messageHeaderLen:], label, transcript.Sum(nil))
	if err := c.queueMessages(transcript, finished); err != nil {
		return err
	}
	if err := c.out.flush(c.transport); err != nil {
		return fmt.Errorf("send Finished: %w", err)
	}
	return nil
}
