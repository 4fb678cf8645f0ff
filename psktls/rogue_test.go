package psktls

import (
	"net"
	"testing"
)

// rogue serves a client without checking what it proves: a server of an attacker
// who has key, and who may spoil its own Finished.
func rogue(c *Conn, key []byte, spoil bool) error {
	c.in.hold = true
	c.out.flight = getBuffer(smallBufferLen)
	raw, err := c.readMessage(typeClientHello)
	if err != nil {
		return err
	}
	hello, err := parseClientHello(raw)
	if err != nil {
		return err
	}
	if c.state.Version, err = c.settings.negotiateVersion(hello); err != nil {
		return err
	}
	if c.state.Version == VersionTLS13 {
		return rogue13(&server13{c: c, hello: hello}, key, spoil)
	}
	return rogue12(&server12{c: c, hello: hello}, key, spoil)
}

func rogue13(hs *server13, key []byte, spoil bool) error {
	if err := hs.negotiate(); err != nil {
		return err
	}
	hs.transcript.Write(hs.hello.raw)
	hs.schedule = newSchedule13(hs.suite.newHash, key)
	if spoil {
		// Right secrets, and a Finished that is not over our messages.
		return hs.spoiledFlight()
	}
	_, err := hs.sendFlight()
	return err
}

// spoiledFlight sends ServerHello and EncryptedExtensions as they should be and
// a Finished of zeros.
func (hs *server13) spoiledFlight() error {
	c := hs.c
	public, shared, err := hs.keyExchange()
	if err != nil {
		return err
	}
	reply := &serverHello{
		random: repeatByte(1, 32), sessionID: hs.hello.sessionID, suite: hs.suite.id, selectedVersion: VersionTLS13,
		hasShare: true, share: keyShare{hs.group, public}, hasIdentity: true,
	}
	raw, err := reply.marshal()
	if err != nil {
		return err
	}
	if err := c.queueMessages(hs.transcript, raw); err != nil {
		return err
	}
	keys := hs.schedule.handshakeKeys(shared, hs.transcript.Sum(nil))
	if err := c.out.setSecret13(hs.schedule.kdf13, hs.suite, keys.server); err != nil {
		return err
	}
	extensions, err := marshalEncryptedExtensions("")
	if err != nil {
		return err
	}
	finished := append([]byte{typeFinished, 0, 0, 32}, make([]byte, 32)...)
	if err := c.queueMessages(hs.transcript, extensions, finished); err != nil {
		return err
	}
	return c.out.flush(c.transport)
}

func rogue12(hs *server12, key []byte, spoil bool) error {
	c := hs.c
	if err := hs.negotiate(); err != nil {
		return err
	}
	hs.transcript = hs.suite.newHash()
	hs.transcript.Write(hs.hello.raw)
	if err := hs.sendHello(); err != nil {
		return err
	}
	raw, err := c.readMessage(typeClientKeyExchange)
	if err != nil {
		return err
	}
	_, public, err := parseClientKeyExchange(raw, true)
	if err != nil {
		return err
	}
	hs.transcript.Write(raw)
	shared, err := sharedSecret(hs.key, hs.group, public)
	if err != nil {
		return err
	}
	schedule := newSchedule12(hs.suite, premaster12(shared, key), hs.transcript.Sum(nil), hs.hello.random, hs.random)
	if spoil {
		hs.transcript.Write([]byte("something else"))
	}
	return c.sendFinished12(schedule, labelServerFinished, hs.transcript)
}

// TestRogueServer: a client never connects to a server that does not prove the
// key, however willing the server is.
func TestRogueServer(t *testing.T) {
	for _, c := range []struct {
		name  string
		key   []byte
		spoil bool
		check Check
		alert Alert
	}{
		{"another key", repeatByte(1, 32), false, CheckKey, AlertBadRecordMAC},
		{"spoiled Finished", testKey, true, CheckMessage, AlertDecryptError},
	} {
		for _, v := range []uint16{VersionTLS12, VersionTLS13} {
			t.Run(VersionName(v)+"/"+c.name, func(t *testing.T) {
				server, client := only(v)
				a, b := net.Pipe()
				s, cl := Server(a, server), Client(b, client)
				ended := make(chan error, 1)
				go func() {
					err := rogue(s, c.key, c.spoil)
					buf := make([]byte, 1000)
					for {
						if _, err := a.Read(buf); err != nil {
							break
						}
					}
					ended <- err
				}()
				wantCheck(t, cl.Handshake(), c.check, c.alert)
				if _, err := cl.Write([]byte("secret")); err == nil {
					t.Error("the client writes to a server that proved nothing")
				}
				_ = b.Close()
				if err := <-ended; err != nil {
					t.Errorf("the rogue server did not get that far: %v", err)
				}
			})
		}
	}
}

// TestHelloRetryRefusals: what a client does not let a HelloRetryRequest do.
func TestHelloRetryRefusals(t *testing.T) {
	for _, x := range []struct {
		name   string
		edit   func(retry, reply *serverHello)
		check  Check
		alert  Alert
		second bool // it is the second answer that is wrong
	}{
		{"the group we sent", func(r, _ *serverHello) { r.share.group = GroupX25519 }, CheckGroup, AlertIllegalParameter, false},
		{"a group we did not offer", func(r, _ *serverHello) { r.share.group = 0x6399 }, CheckGroup, AlertIllegalParameter, false},
		{"nothing to change", func(r, _ *serverHello) { r.hasShare = false }, CheckMessage, AlertIllegalParameter, false},
		{"an identity", func(r, _ *serverHello) { r.hasIdentity = true }, CheckExtension, AlertIllegalParameter, false},
		{"another session", func(r, _ *serverHello) { r.sessionID = nil }, CheckMessage, AlertIllegalParameter, false},
		{"another suite", func(_, r *serverHello) { r.suite = TLS_CHACHA20_POLY1305_SHA256 }, CheckSuite, AlertIllegalParameter, true},
		{"a second retry", func(_, r *serverHello) { r.random, r.share.data = helloRetryRandom, nil }, CheckMessage, AlertUnexpectedMessage, true},
		{"another version", func(_, r *serverHello) { r.selectedVersion = 0 }, CheckVersion, AlertIllegalParameter, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			client := clientConfig()
			client.Groups = x25519First
			c := Client(&script{}, client)
			h, key, err := c.makeHello()
			if err != nil {
				t.Fatal(err)
			}
			binder := newClientBinder(c.settings)
			retry := &serverHello{
				version: VersionTLS12, random: helloRetryRandom, sessionID: h.sessionID, suite: TLS_AES_128_GCM_SHA256,
				selectedVersion: VersionTLS13, hasShare: true, share: keyShare{group: GroupP256},
			}
			reply := *retry
			reply.random, reply.share.data, reply.hasIdentity = repeatByte(1, 32), []byte{4}, true
			x.edit(retry, &reply)
			hs := &client13{c: c, hello: h, reply: retry, key: key, group: GroupX25519, binder: binder, transcript: binder.suite.newHash()}
			// The second answer waits already; it is read only if the first is accepted.
			if c.in.hand, err = reply.marshal(); err != nil {
				t.Fatal(err)
			}
			if !x.second {
				wantCheck(t, hs.retry(), x.check, x.alert)
				return
			}
			wantCheck(t, hs.readSecondReply(retry), x.check, x.alert)
		})
	}
}
