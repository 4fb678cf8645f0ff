package broker

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/session"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// handleConnect takes the first packet: who is it, may it, and which session does it want. Nothing happens to any
// session before the login has succeeded.
func (c *conn) handleConnect(w *work, h mqtt.Header, body []byte) error {
	p := &w.hello
	defer func() { w.hello = mqtt.Connect{} }() // its texts lie in the read buffer
	err := p.Parse(0, h.Flags, body)
	c.version = answerVersion(p.ProtocolVersion, err)
	if err != nil {
		return err
	}
	if c.version >= mqtt.V5 && !h.Minimal {
		return &mqtt.Error{Code: mqtt.MalformedPacket, Clause: "MQTT-1.5.5-1"}
	}
	c.clientID = cloneString(p.ClientID) // logs need it after the read buffer has other clients' bytes
	c.problemInfo = !p.Properties.Has(mqtt.PropRequestProblemInfo) || p.Properties.RequestProblemInfo == 1
	if err := c.checkConnect(p); err != nil {
		return err
	}
	if p.Properties.Has(mqtt.PropAuthMethod) {
		p = p.Clone() // an exchange of several packets needs it after the read buffer is gone
	}
	ctx := c.loginContext()
	defer ctx.stop()
	c.rechecked = c.b.recheck.generation()
	verdict := c.b.authn.Authenticate(ctx, &c.evidence, credentialsOf(p))
	if verdict.Outcome == identity.Continued {
		if c.version < mqtt.V5 || !p.Properties.Has(mqtt.PropAuthMethod) {
			return refuse(errNotAuthorized, "", "the authenticator wants an exchange the client did not ask for")
		}
		c.enhanced = &enhanced{connect: p, method: p.Properties.AuthMethod} // a clone, not the read buffer
	}
	return c.continueLogin(w, p, verdict)
}

// loginContext ends a little before the connection does for want of a complete CONNECT, so that a client whose login waits for
// a slot gets an answer, Server busy, and not just the end.
func (c *conn) loginContext() *lazyDeadline {
	all := c.b.settings().ConnectTimeout
	now := c.b.clock.Now()
	left := time.Duration(c.accepted+int64(all)-now.UnixNano()) - all/10
	return &lazyDeadline{Context: c.b.ctx, at: now.Add(max(left, all/10))}
}

// unknownLevel is how a CONNECT with a Protocol Level that does not exist is refused.
var unknownLevel = &mqtt.Error{Code: mqtt.UnsupportedProtocolVersion, Clause: "MQTT-3.1.2-2"}

// answerVersion is the version in which a CONNECT is answered, 0 for none. Levels beyond the known ones get the answer
// of version 5 [MQTT-3.1.2-2], those below get that of 3.1.1 [MQTT311-3.1.2-2].
func answerVersion(v mqtt.Version, err error) mqtt.Version {
	switch {
	case v > mqtt.V5:
		return mqtt.V5
	case v < mqtt.V31 && errors.Is(err, unknownLevel):
		return mqtt.V311
	default:
		return v
	}
}

// checkConnect refuses what no login could make right.
func (c *conn) checkConnect(p *mqtt.Connect) error {
	if !p.HasWill {
		return nil
	}
	if _, err := topic.ParseName(p.Will.Topic); err != nil {
		return err
	}
	if topic.Levels(p.Will.Topic) > c.b.settings().TopicLevels {
		return overLimit(errTooDeep, "limits.topic_levels", c.b.settings().TopicLevels, "a will topic with "+strconv.Itoa(topic.Levels(p.Will.Topic)))
	}
	return nil
}

// credentialsOf copies what may end up in a Principal, a count of failures or a log: the packet's texts lie in a read
// buffer that other connections use next. Secrets are not copied.
func credentialsOf(p *mqtt.Connect) *identity.Credentials {
	return &identity.Credentials{
		ClientID: cloneString(p.ClientID), Level: byte(p.ProtocolVersion),
		HasUsername: p.HasUsername, Username: cloneString(p.Username),
		HasPassword: p.HasPassword, Password: p.Password,
		Method: cloneString(p.Properties.AuthMethod), Data: p.Properties.AuthData,
		Prefix: p.CredentialPrefix,
	}
}

// continueLogin acts on a verdict: go on with AUTH, refuse, or bind the session.
func (c *conn) continueLogin(w *work, p *mqtt.Connect, v identity.Verdict) error {
	switch v.Outcome {
	case identity.Accepted:
		c.authenticated()
		err := c.admit(w, p, v)
		c.b.stats.connectResults.admitted(c.listener, err)
		return err
	case identity.Continued:
		c.enhanced.next = v.Next
		c.clientID = c.enhanced.connect.ClientID // p aliases the read buffer
		c.phase.Store(awaitAuth)
		c.sendAuth(w, mqtt.ContinueAuthentication, v.Data)
		return nil
	default:
		c.b.stats.connectResults.add(c.listener, failureWords[v.Failure])
		return c.refusedLogin(p.Username, &v)
	}
}

// admit authorizes the connection and its Will, and binds the session.
func (c *conn) admit(w *work, p *mqtt.Connect, v identity.Verdict) error {
	b, set := c.b, c.b.settings()
	principal := v.Principal
	c.principal = &principal
	c.who.Store(&principal)
	if err := b.recheck.since(c.rechecked, &c.evidence, &principal); err != nil {
		return err // the files of the login changed while it was under way
	}
	assigned := p.ClientID == ""
	if assigned {
		c.clientID, c.assigned = newClientID(), true // [MQTT-3.1.3-6] [MQTT-3.1.3-7]
	}
	if d := b.authz.Authorize(c.principal, c.clientID, identity.Connect, ""); !d.Allowed {
		return b.denied(c, identity.Connect, "", d)
	}
	if err := c.recordLogin(); err != nil {
		return err
	}
	var wl *will
	if p.HasWill {
		var err error
		if wl, err = b.newWill(c, p, w.now); err != nil {
			return err
		}
	}
	if p.Properties.AuthMethod != "" && c.enhanced == nil { // the method was content with CONNECT
		c.enhanced = &enhanced{method: cloneString(p.Properties.AuthMethod)}
	}
	c.quota = set.SendQuota
	c.maxPacket = 0
	if c.version >= mqtt.V5 {
		if p.Properties.Has(mqtt.PropReceiveMaximum) {
			c.quota = min(c.quota, int(p.Properties.ReceiveMaximum)) // [MQTT-3.3.4-9]
		}
		if p.Properties.Has(mqtt.PropMaximumPacketSize) {
			c.maxPacket = p.Properties.MaximumPacketSize
		}
		c.aliasOut.max = min(p.Properties.TopicAliasMaximum, set.TopicAliasMaximum)
	}
	c.outLimit = set.OutBuffer
	c.keepAlive = c.effectiveKeepAlive(p)
	c.rate.init(set, w.now)

	ack := &w.connack
	c.fillConnack(ack, p, v, b.grantedExpiry(c, p), assigned)
	if !c.fits(ack) {
		return refuse(errTooLarge, "MQTT-3.1.2-24", "the client's maximum packet size leaves no room for the limits in connack")
	}
	bound, err := b.bind(w, c, p, wl)
	if err != nil {
		return err
	}
	ack.SessionPresent = bound.present
	c.sendPacket(w, ack)
	c.phase.Store(connected)
	w.connect = true
	if c.keepAlive > 0 {
		c.scheduleCheck(w.now + int64(c.keepAlive))
	}
	c.limitLogin(v.ExpiresAt)
	b.stats.connects.Add(1)
	c.logConnected(bound.present)
	s := c.session
	s.mu.Lock()
	if s.conn == c {
		s.online.Store(c) // nothing may reach the client before its CONNACK [MQTT-3.2.0-1]
		s.step(w, session.Event{Kind: session.Attach, Quota: c.quota})
	}
	s.mu.Unlock()
	b.groups.joined(w, s)
	return nil
}

// logConnected writes the line about a client. It is put together by hand, without the place in the source: a Logger looks it
// up for each line, and nobody is shown it.
func (c *conn) logConnected(present bool) {
	h, ctx := c.b.log.Handler(), context.Background()
	if !h.Enabled(ctx, slog.LevelInfo) {
		return
	}
	r := slog.NewRecord(c.b.clock.Now(), slog.LevelInfo, "client connected", 0)
	r.AddAttrs(slog.String("client", c.clientID), slog.String("remote", c.remote()), slog.String("listener", c.listener),
		slog.String("principal", c.principal.String()), slog.String("version", c.version.String()), slog.Bool("session_present", present))
	_ = h.Handle(ctx, r) // as a Logger does
}

// effectiveKeepAlive is one and a half times what the client, or for MQTT 5 the server, says [MQTT-3.1.2-22]
// [MQTT-3.2.2-21]. An MQTT 3 client cannot be told another value, so its own holds.
func (c *conn) effectiveKeepAlive(p *mqtt.Connect) time.Duration {
	seconds := p.KeepAlive
	if limit := c.b.settings().KeepAliveMax; c.version >= mqtt.V5 && limit > 0 && (seconds == 0 || seconds > limit) {
		seconds = limit
	}
	return time.Duration(seconds) * time.Second * 3 / 2
}

// fillConnack makes ack tell the client the server's limits, as far as they differ from the standard's defaults. It never
// has a Reason String or User Properties [MQTT-3.2.2-19] [MQTT-3.2.2-20].
func (c *conn) fillConnack(ack *mqtt.Connack, p *mqtt.Connect, v identity.Verdict, expiry uint32, assigned bool) {
	*ack = mqtt.Connack{}
	if c.version < mqtt.V5 {
		return
	}
	set, q := c.b.settings(), &ack.Properties
	if assigned {
		q.SetAssignedClientID(c.clientID)
	}
	if expiry != p.Properties.SessionExpiry {
		q.SetSessionExpiry(expiry)
	}
	q.SetReceiveMaximum(set.ReceiveMaximum)
	q.SetMaximumPacketSize(uint32(c.maxInput))
	q.SetTopicAliasMaximum(set.TopicAliasMaximum)
	if ka := uint16(c.keepAlive / (time.Second * 3 / 2)); ka != p.KeepAlive {
		q.SetServerKeepAlive(ka)
	}
	if p.Properties.RequestResponseInfo == 1 {
		q.SetResponseInfo("response/" + c.clientID)
	}
	if c.enhanced != nil {
		q.SetAuthMethod(c.enhanced.method)
		if v.Data != nil {
			q.SetAuthData(v.Data)
		}
	}
}

// fits reports whether the client's Maximum Packet Size has room for p [MQTT-3.1.2-24].
func (c *conn) fits(p mqtt.Packet) bool {
	if c.maxPacket == 0 {
		return true
	}
	frame, err := p.Append(nil, c.version)
	return err == nil && len(frame) <= int(c.maxPacket)
}

// sendPacket encodes a packet into the connection's buffer. Packets of the broker's own making always fit.
func (c *conn) sendPacket(w *work, p mqtt.Packet) {
	c.append(w, func(dst []byte) []byte { return c.encode(dst, p) })
}

// encode appends p unless it exceeds the client's Maximum Packet Size [MQTT-3.1.2-24].
func (c *conn) encode(dst []byte, p mqtt.Packet) []byte {
	out, err := p.Append(dst, c.version)
	if err != nil {
		c.b.log.Error("packet not encoded", "type", p.Type().String(), "client", c.clientID, "err", err)
		return dst
	}
	if c.maxPacket > 0 && len(out)-len(dst) > int(c.maxPacket) {
		return dst
	}
	return out
}

// refuseConnect answers a CONNECT that is not accepted. Who did not send a CONNECT, or broke its rules before a version
// was known, gets no answer [MQTT-3.1.0-1] [MQTT-3.1.4-1].
func (c *conn) refuseConnect(w *work, err error, code mqtt.ReasonCode) {
	c.endOnce.Do(func() {
		c.cause = err
		c.refuseErr(err, 0, "")
		if c.version != 0 && c.answersConnect(err, code) {
			c.sendLast(&mqtt.Connack{ReasonCode: code}) // [MQTT-3.2.2-6]
		}
		c.close()
	})
}

// answersConnect reports whether a refusal is said in CONNACK. MQTT 3 has return codes for a few causes only; for the
// others the connection is just closed [MQTT-3.1.4-1].
func (c *conn) answersConnect(err error, code mqtt.ReasonCode) bool {
	if c.version >= mqtt.V5 {
		return code.IsError() && code.ValidIn(mqtt.TypeConnack)
	}
	switch code {
	case mqtt.UnsupportedProtocolVersion, mqtt.ClientIdentifierNotValid, mqtt.ServerUnavailable, mqtt.ServerBusy,
		mqtt.BadUserNameOrPassword, mqtt.NotAuthorized, mqtt.Banned, mqtt.QuotaExceeded:
		return true
	default:
		return false
	}
}

// newClientID makes an identifier that cannot be guessed, because whoever knows it may resume the session.
func newClientID() string {
	var random [15]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	return "auto-" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(random[:])
}

func cloneString(s string) string { return string([]byte(s)) }
