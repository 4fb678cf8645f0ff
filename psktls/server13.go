package psktls

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"hash"
	"slices"
)

// server13 is the server's handshake of TLS 1.3 with external keys:
//
//	ClientHello
//	+ key_share, psk_key_exchange_modes, pre_shared_key  -------->
//	                     [HelloRetryRequest, and the same again]
//	                                                   ServerHello
//	                                  + key_share, pre_shared_key
//	                                        {EncryptedExtensions}
//	                          <--------                {Finished}
//	{Finished}                -------->
type server13 struct {
	c          *Conn
	hello      *clientHello
	suite      *suite
	transcript hash.Hash
	group      uint16 // 0 for psk_ke
	share      []byte // the client's public value in group
	alpn       string
	index      uint16 // of the identity selected
	identity   []byte
	schedule   *schedule13
	retried    bool
}

func (hs *server13) run() error {
	hs.c.in.dropCCS = true
	if err := hs.checkHello(); err != nil {
		return err
	}
	if err := hs.negotiate(); err != nil {
		return err
	}
	if err := hs.selectKey(); err != nil {
		return err
	}
	defer hs.schedule.wipe()
	clientSecret, err := hs.sendFlight()
	if err != nil {
		return err
	}
	return hs.readFinished(clientSecret)
}

// checkHello is what RFC 8446 §4.1.2 demands of the legacy fields.
func (hs *server13) checkHello() error {
	h := hs.hello
	if h.version != VersionTLS12 {
		return refuse(CheckMessage, AlertIllegalParameter, "legacy_version 0x0303", VersionName(h.version))
	}
	if len(h.compressions) != 1 || h.compressions[0] != 0 {
		return refuse(CheckMessage, AlertIllegalParameter, "null compression only", "other methods")
	}
	return nil
}

// negotiate settles suite, key exchange and application protocol, with one
// HelloRetryRequest if the client's key shares do not suit.
func (hs *server13) negotiate() error {
	s := hs.c.settings
	hs.suite = selectSuite(hs.hello.suites, s.suites13)
	if hs.suite == nil {
		return refuse(CheckSuite, AlertHandshakeFailure, suiteNames(s.suites13), offeredSuites(hs.hello.suites))
	}
	hs.transcript = hs.suite.newHash()
	if err := hs.selectExchange(); err != nil {
		return err
	}
	if hs.group != 0 && hs.share == nil {
		if err := hs.retry(); err != nil {
			return err
		}
	}
	var err error
	hs.alpn, err = selectALPN(hs.hello.alpn, s.protos)
	return err
}

// selectExchange chooses between psk_dhe_ke and psk_ke, RFC 8446 §4.2.9, and
// the group. share stays nil if the client has to send another one.
func (hs *server13) selectExchange() error {
	h, s := hs.hello, hs.c.settings
	if !h.hasPreSharedKey {
		return refuse(CheckPSKOffer, AlertHandshakeFailure, "a pre-shared key", "none offered")
	}
	if len(h.modes) == 0 {
		return refuse(CheckExtension, AlertMissingExtension, "psk_key_exchange_modes", "none")
	}
	plain := s.allowNoFS && slices.Contains(h.modes, modePSK)
	if !slices.Contains(h.modes, modePSKDHE) {
		if plain {
			return nil
		}
		return refuse(CheckKEMode, AlertHandshakeFailure, "psk_dhe_ke (forward secrecy)", fmt.Sprintf("modes %v", h.modes))
	}
	if !h.hasKeyShare || h.groups == nil {
		if plain {
			return nil
		}
		return refuse(CheckExtension, AlertMissingExtension, "key_share and supported_groups", "not both")
	}
	for i, share := range h.shares {
		if !slices.Contains(h.groups, share.group) || slices.ContainsFunc(h.shares[:i], func(k keyShare) bool { return k.group == share.group }) {
			return refuse(CheckKeyShare, AlertIllegalParameter, "one share of each supported group at most", GroupName(share.group))
		}
	}
	// Among the shares that are here, our order: they cost the client nothing
	// more. For another share, the client's order.
	for _, g := range s.groups {
		if i := slices.IndexFunc(h.shares, func(k keyShare) bool { return k.group == g }); i >= 0 {
			hs.group, hs.share = g, h.shares[i].data
			return nil
		}
	}
	for _, g := range h.groups {
		if slices.Contains(s.groups, g) {
			hs.group = g
			return nil
		}
	}
	if plain {
		return nil
	}
	return refuse(CheckGroup, AlertHandshakeFailure, groupNames(s.groups), groupNames(h.groups))
}

// retry asks for a share of hs.group, RFC 8446 §4.1.4, and takes the second
// ClientHello. The first one stays in the transcript as its hash (§4.4.1).
func (hs *server13) retry() error {
	c, first := hs.c, hs.hello
	if first.hasEarlyData {
		c.in.skipEarly = maxSkippedEarlyData
	}
	if err := c.atKeyChange(); err != nil {
		return err
	}
	hs.transcript.Write(first.raw)
	replaceByHash(hs.transcript)
	request := &serverHello{
		random: helloRetryRandom, sessionID: first.sessionID, suite: hs.suite.id,
		selectedVersion: VersionTLS13, hasShare: true, share: keyShare{group: hs.group},
	}
	raw, err := request.marshal()
	if err != nil {
		return err
	}
	if err := c.queueMessages(hs.transcript, raw); err != nil {
		return err
	}
	if len(first.sessionID) > 0 {
		if err := c.queueChangeCipherSpec(); err != nil {
			return err
		}
	}
	if err := c.out.flush(c.transport); err != nil {
		return err
	}
	if raw, err = c.readMessage(typeClientHello); err != nil {
		return err
	}
	if hs.hello, err = parseClientHello(raw); err != nil {
		return err
	}
	hs.retried, c.in.skipEarly = true, 0
	return hs.checkSecondHello(first)
}

func (hs *server13) checkSecondHello(first *clientHello) error {
	h := hs.hello
	switch {
	case !h.sameAs(first):
		return refuse(CheckMessage, AlertIllegalParameter, "a second ClientHello like the first", "another one")
	case h.hasEarlyData:
		return refuse(CheckExtension, AlertIllegalParameter, "no early_data after HelloRetryRequest", "early_data")
	case !h.hasPreSharedKey:
		return refuse(CheckPSKOffer, AlertHandshakeFailure, "a pre-shared key", "none offered after HelloRetryRequest")
	case len(h.shares) != 1 || h.shares[0].group != hs.group:
		return refuse(CheckKeyShare, AlertIllegalParameter, "one share of "+GroupName(hs.group), fmt.Sprintf("%d shares", len(h.shares)))
	}
	hs.share = h.shares[0].data
	return nil
}

// replaceByHash restarts a transcript with the message_hash of what it holds.
func replaceByHash(transcript hash.Hash) {
	sum := transcript.Sum(nil)
	transcript.Reset()
	transcript.Write([]byte{typeMessageHash, 0, 0, byte(len(sum))})
	transcript.Write(sum)
}

// selectKey takes the first identity whose key we have and checks its binder,
// RFC 8446 §4.2.11. If we have none, the first identity goes on with a random
// key, whose binder cannot match.
func (hs *server13) selectKey() error {
	h := hs.hello
	var psk pskResult
	for i, identity := range h.identities[:min(len(h.identities), maxIdentities)] {
		r, err := hs.c.lookup(identity)
		if err != nil {
			return err
		}
		if i == 0 || r.refusal == nil {
			psk, hs.identity, hs.index = r, identity, uint16(i) //nolint:gosec // below maxIdentities
		}
		if r.refusal == nil {
			break
		}
	}
	// One pass over the hello: Sum leaves the state as it is.
	hs.transcript.Write(h.raw[:h.bindersAt])
	truncated := hs.transcript.Sum(nil)
	hs.transcript.Write(h.raw[h.bindersAt:])

	schedule := newSchedule13(hs.suite.newHash, psk.key)
	match := subtle.ConstantTimeCompare(schedule.binder(nil, truncated), h.binders[hs.index]) == 1
	if !match || psk.refusal != nil {
		schedule.wipe()
		return psk.refused(AlertDecryptError, hs.identity)
	}
	hs.schedule = schedule
	return nil
}

// keyExchange makes our share and the shared secret; both nil for psk_ke.
func (hs *server13) keyExchange() (public, secret []byte, err error) {
	if hs.group == 0 {
		return nil, nil, nil
	}
	var key *ecdh.PrivateKey
	if key, err = ephemeral(hs.group); err != nil {
		return nil, nil, err
	}
	secret, err = sharedSecret(key, hs.group, hs.share)
	return key.PublicKey().Bytes(), secret, err
}

// sendFlight sends ServerHello to Finished with one write, installs the keys and
// gives the client's handshake traffic secret.
func (hs *server13) sendFlight() ([]byte, error) {
	c := hs.c
	public, shared, err := hs.keyExchange()
	if err != nil {
		return nil, err
	}
	defer clear(shared)
	reply := &serverHello{
		random: make([]byte, randomLen), sessionID: hs.hello.sessionID, suite: hs.suite.id,
		selectedVersion: VersionTLS13, hasShare: public != nil, share: keyShare{hs.group, public},
		hasIdentity: true, selectedIdentity: hs.index,
	}
	if _, err := rand.Read(reply.random); err != nil {
		return nil, internal(err)
	}
	raw, err := reply.marshal()
	if err != nil {
		return nil, err
	}
	if err := c.queueMessages(hs.transcript, raw); err != nil {
		return nil, err
	}
	if len(hs.hello.sessionID) > 0 && !hs.retried {
		if err := c.queueChangeCipherSpec(); err != nil {
			return nil, err
		}
	}
	if err := c.atKeyChange(); err != nil {
		return nil, err
	}
	keys := hs.schedule.handshakeKeys(shared, hs.transcript.Sum(nil))
	// setSecret13 takes the secret over and clears it at the next key.
	clientFinishedKey := slices.Clone(keys.client)
	if err := c.in.setSecret13(hs.schedule.kdf13, hs.suite, keys.client); err != nil {
		return nil, err
	}
	if hs.hello.hasEarlyData {
		c.in.skipEarly = maxSkippedEarlyData
	}
	return clientFinishedKey, hs.sendProtected(keys.server)
}

// sendProtected completes the flight: EncryptedExtensions and Finished in one
// record, then the application keys for our direction.
func (hs *server13) sendProtected(serverSecret []byte) error {
	c := hs.c
	extensions, err := marshalEncryptedExtensions(hs.alpn)
	if err != nil {
		return err
	}
	hs.transcript.Write(extensions)
	finished := hs.schedule.finishedMAC([]byte{typeFinished, 0, 0, byte(hs.suite.hash.Size())}, serverSecret, hs.transcript.Sum(nil))
	if err := c.out.setSecret13(hs.schedule.kdf13, hs.suite, serverSecret); err != nil {
		return err
	}
	hs.transcript.Write(finished)
	if err := c.out.queue(recordHandshake, VersionTLS12, slices.Concat(extensions, finished)); err != nil {
		return err
	}
	return c.out.flush(c.transport)
}

// readFinished derives the application keys, checks the client's Finished and
// completes the connection. Nothing is sent under the application keys before.
func (hs *server13) readFinished(clientSecret []byte) error {
	defer clear(clientSecret)
	c := hs.c
	transcriptHash := hs.transcript.Sum(nil)
	keys := hs.schedule.applicationKeys(transcriptHash)
	msg, err := c.readMessage(typeFinished)
	if err != nil {
		return err
	}
	if err := hs.schedule.checkFinished(msg, clientSecret, transcriptHash); err != nil {
		return err
	}
	if err := c.atKeyChange(); err != nil {
		return err
	}
	if err := c.in.setSecret13(hs.schedule.kdf13, hs.suite, keys.client); err != nil {
		return err
	}
	if err := c.out.setSecret13(hs.schedule.kdf13, hs.suite, keys.server); err != nil {
		return err
	}
	c.complete(hs.suite, hs.group, hs.alpn, hs.identity, hs.retried)
	c.exporter = exporter{suite: hs.suite, master: keys.exporter}
	return nil
}
