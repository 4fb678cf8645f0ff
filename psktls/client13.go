package psktls

import (
	"bytes"
	"crypto/ecdh"
	"hash"
	"slices"
)

// clientBinder signs ClientHellos with the external key.
type clientBinder struct {
	suite *suite // any suite of the key's hash
	early *schedule13
}

func newClientBinder(s *settings) *clientBinder {
	x := s.suites13[0] // all have the hash that the key is bound to
	return &clientBinder{suite: x, early: newSchedule13(x.newHash, s.key)}
}

// sign marshals the hello with its binder, RFC 8446 §4.2.11.2, and adds it to
// transcript, which holds what came before: nothing, or the first hello and
// HelloRetryRequest.
func (b *clientBinder) sign(h *clientHello, transcript hash.Hash) error {
	if err := h.marshal(b.suite.hash.Size()); err != nil {
		return err
	}
	transcript.Write(h.raw[:h.bindersAt])
	h.setBinder(0, b.early.binder(nil, transcript.Sum(nil)))
	transcript.Write(h.raw[h.bindersAt:])
	return nil
}

// client13 is the client's side of server13.
type client13 struct {
	c          *Conn
	hello      *clientHello
	reply      *serverHello
	key        *ecdh.PrivateKey
	group      uint16 // of key
	binder     *clientBinder
	suite      *suite
	transcript hash.Hash
	retried    bool
}

func (hs *client13) run() error {
	c := hs.c
	c.in.dropCCS = true
	var err error
	if hs.suite, err = selectedSuite(hs.reply.suite, c.settings.suites13); err != nil {
		return err
	}
	hs.transcript = hs.suite.newHash()
	hs.transcript.Write(hs.hello.raw)
	if hs.reply.isRetry() {
		if err := hs.retry(); err != nil {
			return err
		}
	}
	shared, group, err := hs.checkReply()
	if err != nil {
		return err
	}
	defer clear(shared)
	hs.transcript.Write(hs.reply.raw)
	if err := c.atKeyChange(); err != nil {
		return err
	}
	return hs.finish(hs.binder.early.handshakeKeys(shared, hs.transcript.Sum(nil)), group)
}

// checkEcho checks the legacy fields of ServerHello and HelloRetryRequest.
func (hs *client13) checkEcho() error {
	if !bytes.Equal(hs.reply.sessionID, hs.hello.sessionID) {
		return refuse(CheckMessage, AlertIllegalParameter, "our session identifier", "another one")
	}
	r := hs.reply
	if r.hasEMS || r.renegotiation != nil || r.pointFormats || r.alpn != "" {
		return refuse(CheckExtension, AlertIllegalParameter, "extensions of TLS 1.3 ServerHello", "one of TLS 1.2 or EncryptedExtensions")
	}
	return r.checkExtensions()
}

// retry answers a HelloRetryRequest, RFC 8446 §4.1.4.
func (hs *client13) retry() error {
	c, s, request := hs.c, hs.c.settings, hs.reply
	if err := hs.checkEcho(); err != nil {
		return err
	}
	if request.hasIdentity {
		return refuse(CheckExtension, AlertIllegalParameter, "no pre_shared_key in HelloRetryRequest", "one")
	}
	if !request.hasShare && request.cookie == nil {
		return refuse(CheckMessage, AlertIllegalParameter, "a HelloRetryRequest that changes something", "none")
	}
	if request.hasShare {
		g := request.share.group
		if !slices.Contains(s.groups, g) || g == hs.group {
			return refuse(CheckGroup, AlertIllegalParameter, "another group that was offered", GroupName(g))
		}
		var err error
		if hs.key, err = ephemeral(g); err != nil {
			return err
		}
		hs.group = g
		hs.hello.shares = []keyShare{{g, hs.key.PublicKey().Bytes()}}
	}
	hs.hello.cookie = request.cookie
	replaceByHash(hs.transcript)
	hs.transcript.Write(request.raw)
	if err := hs.binder.sign(hs.hello, hs.transcript); err != nil {
		return err
	}
	if err := c.atKeyChange(); err != nil {
		return err
	}
	if err := c.queueChangeCipherSpec(); err != nil {
		return err
	}
	if err := c.out.queue(recordHandshake, VersionTLS12, hs.hello.raw); err != nil {
		return err
	}
	if err := c.out.flush(c.transport); err != nil {
		return err
	}
	hs.retried = true
	return hs.readSecondReply(request)
}

func (hs *client13) readSecondReply(request *serverHello) error {
	raw, err := hs.c.readMessage(typeServerHello)
	if err != nil {
		return err
	}
	if hs.reply, err = parseServerHello(raw); err != nil {
		return err
	}
	r := hs.reply
	switch {
	case r.isRetry():
		return refuse(CheckMessage, AlertUnexpectedMessage, "ServerHello", "a second HelloRetryRequest")
	case r.version != VersionTLS12 || r.selectedVersion != VersionTLS13:
		return refuse(CheckVersion, AlertIllegalParameter, "TLS 1.3, as in HelloRetryRequest", VersionName(r.selectedVersion))
	case r.suite != request.suite:
		return refuse(CheckSuite, AlertIllegalParameter, CipherSuiteName(request.suite), CipherSuiteName(r.suite))
	}
	return nil
}

// checkReply checks that the server took our key and how, and gives the (EC)DHE
// secret and its group; nil and 0 for psk_ke.
func (hs *client13) checkReply() ([]byte, uint16, error) {
	r := hs.reply
	if err := hs.checkEcho(); err != nil {
		return nil, 0, err
	}
	if r.cookie != nil {
		return nil, 0, refuse(CheckExtension, AlertUnsupportedExtension, "no cookie in ServerHello", "one")
	}
	if !r.hasIdentity {
		return nil, 0, refuse(CheckPSKOffer, AlertHandshakeFailure, "a server that takes the pre-shared key",
			"one that wants a certificate exchange")
	}
	if r.selectedIdentity != 0 {
		return nil, 0, refuse(CheckIdentity, AlertIllegalParameter, "identity 0, the only one offered", "another index")
	}
	if !r.hasShare {
		if !hs.c.settings.allowNoFS {
			return nil, 0, refuse(CheckKEMode, AlertIllegalParameter, "psk_dhe_ke (forward secrecy)", "psk_ke")
		}
		return nil, 0, nil
	}
	if r.share.group != hs.group {
		return nil, 0, refuse(CheckGroup, AlertIllegalParameter, GroupName(hs.group), GroupName(r.share.group))
	}
	shared, err := sharedSecret(hs.key, hs.group, r.share.data)
	return shared, hs.group, err
}

// finish reads the server's protected flight, checks its Finished, which proves
// that the server has the key, and sends ours.
func (hs *client13) finish(keys secrets13, group uint16) error {
	c, s, schedule := hs.c, hs.suite, hs.binder.early
	clientSecret, serverSecret := slices.Clone(keys.client), slices.Clone(keys.server)
	defer clear(clientSecret)
	defer clear(serverSecret)
	if err := c.in.setSecret13(schedule.kdf13, s, keys.server); err != nil {
		return err
	}
	// The dummy goes out unprotected, before our Finished: RFC 8446 §D.4.
	if !hs.retried {
		if err := c.queueChangeCipherSpec(); err != nil {
			return err
		}
	}
	if err := c.out.setSecret13(schedule.kdf13, s, keys.client); err != nil {
		return err
	}
	alpn, err := hs.readServerFlight(serverSecret)
	if err != nil {
		return err
	}
	transcriptHash := hs.transcript.Sum(nil)
	application := schedule.applicationKeys(transcriptHash)
	finished := schedule.finishedMAC([]byte{typeFinished, 0, 0, byte(s.hash.Size())}, clientSecret, transcriptHash)
	if err := c.queueMessages(hs.transcript, finished); err != nil {
		return err
	}
	if err := c.out.flush(c.transport); err != nil {
		return err
	}
	if err := c.in.setSecret13(schedule.kdf13, s, application.server); err != nil {
		return err
	}
	if err := c.out.setSecret13(schedule.kdf13, s, application.client); err != nil {
		return err
	}
	c.complete(s, group, alpn, c.settings.identity, hs.retried)
	c.exporter = exporter{suite: s, master: application.exporter}
	return nil
}

func (hs *client13) readServerFlight(serverSecret []byte) (alpn string, err error) {
	c := hs.c
	raw, err := c.readMessage(typeEncryptedExtensions)
	if err != nil {
		return "", serverLacksKey(err)
	}
	if alpn, err = parseEncryptedExtensions(raw); err != nil {
		return "", err
	}
	if err := c.settings.checkALPN(alpn); err != nil {
		return "", err
	}
	hs.transcript.Write(raw)
	if raw, err = c.readMessage(typeFinished); err != nil {
		return "", err
	}
	if err := hs.binder.early.checkFinished(raw, serverSecret, hs.transcript.Sum(nil)); err != nil {
		return "", err
	}
	hs.transcript.Write(raw)
	return alpn, c.atKeyChange()
}
