package broker

import (
	"errors"
	"strconv"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// refuse is the one place through which every refusal goes: it gives it a random id, keeps it for explain, counts it,
// tells the recorder, and writes a line unless the same was said a moment ago or there are too many. It returns the id.
// Layer and Check must be set; Decision.Rule is looked up in the settings if it is empty. refuse decides nothing: the
// caller refuses, whatever happens here.
//
// With a connection at hand it is called as in denied:
//
//	r := c.base(LayerPayload, "signature")
//	r.Action, r.Topic, r.Code = identity.Publish, name, reasonOf(errPayload)
//	r.Expected, r.Found, r.Decision.Rule = "one by a key of plant", "none", rule
//	return &recorded{b.refuse(r), errPayload}
//
// The error then ends the connection, or becomes a negative acknowledgement, and is not put on record again. Errors that
// were not recorded are, when they end a connection: reason.go says to which layer each belongs.
func (b *Broker) refuse(r Refusal) string {
	if r.Layer == 0 || r.Layer >= layerCount {
		r.Layer = LayerProtocol
	}
	if r.Decision.Rule == (identity.Rule{}) {
		r.Decision.Rule = b.settings().rule(r.Layer, r.Listener, r.Check)
	}
	if r.Decision.Why == "" {
		r.Decision.Why = because(r.Expected, r.Found)
	}
	r.Decision.Allowed = false
	r.Generation = b.authz.Generation()
	b.stats.refused[r.Layer].Add(1)
	id, told := b.refusals[r.Layer].add(b.clock.Now(), &r)
	if b.recorder != nil && recordAt(told.times) {
		b.recorder.Refused(&r)
	}
	if told.line {
		line := refusedLines[r.Layer]
		if r.Withdrawn {
			line = "right withdrawn"
		}
		b.log.Warn(line, r.attrs(told)...)
	}
	return id
}

// recordAt says which repetitions of one refusal the recorder learns of: the first, and then each time there are ten times
// as many.
func recordAt(times int) bool {
	for times >= 10 && times%10 == 0 {
		times /= 10
	}
	return times == 1
}

func because(expected, found string) string {
	switch {
	case expected == "":
		return found
	case found == "":
		return "expected " + expected
	}
	return "expected " + expected + ", found " + found
}

var refusedLines = [layerCount]string{
	"refused", "handshake refused", "protocol violated", "login refused", "denied", "payload refused", "limit reached",
}

// attrs are the log line of a refusal. Empty ones are left out.
func (r *Refusal) attrs(t told) []any {
	attrs := []any{"id", r.ID}
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, key, value)
		}
	}
	add("client", r.ClientID)
	add("user", r.Username)
	if r.Principal != (identity.Principal{}) {
		add("principal", r.Principal.String())
	}
	add("remote", r.Remote)
	add("listener", r.Listener)
	if r.Action != 0 {
		add("action", r.Action.String())
	}
	add("topic", r.Topic)
	if r.Check != r.Action.String() {
		add("check", r.Check)
	}
	add("rule", r.Decision.Rule.String())
	add("why", r.Decision.Why)
	if t.suppressed > 0 {
		attrs = append(attrs, "lines_suppressed", t.suppressed)
	}
	return attrs
}

// recorded is an error whose refusal went through refuse already. It carries the reason the client may learn.
type recorded struct {
	id  string
	err error
}

// Error implements error.
func (r *recorded) Error() string { return r.err.Error() + " (decision " + r.id + ")" }

// Unwrap gives the broker's error, which has the reason code.
func (r *recorded) Unwrap() error { return r.err }

// base is a Refusal with what is known of the connection.
func (c *conn) base(layer Layer, check string) Refusal {
	r := Refusal{Layer: layer, Check: check, ClientID: c.clientID, Remote: c.remote(), Listener: c.listener, Version: c.version}
	if c.principal != nil {
		r.Principal = *c.principal
	}
	return r
}

// refuseErr puts the refusal that err stands for on record, if it is one and was not recorded before. a and name say what
// the client wanted, 0 and "" when it was nothing in particular.
func (c *conn) refuseErr(err error, a identity.Action, name string) {
	layer, check := classify(err)
	var done *recorded
	if layer == 0 || errors.As(err, &done) {
		return
	}
	r := c.base(layer, check)
	r.Action, r.Topic = a, name
	if c.version != 0 { // otherwise no packet was read, and none is answered
		r.Code = reasonOf(err)
	}
	var failed identity.Failed
	var own *refusal
	switch {
	case errors.As(err, &failed):
		_, r.Expected, r.Found = failed.Failed()
	case errors.As(err, &own):
		r.Expected, r.Found = own.expected, own.detail
	default:
		r.Found = err.Error()
	}
	c.b.refuse(r)
}

// classify says to which layer an error of the broker belongs and which check it is; 0 for an end that is no refusal.
func classify(err error) (Layer, string) {
	var failed identity.Failed
	if errors.As(err, &failed) {
		if check, _, _ := failed.Failed(); check != "" {
			return LayerTransport, check
		}
		return 0, ""
	}
	row := reasonRow(err)
	var own *refusal
	errors.As(err, &own)
	switch {
	case own != nil && own.limit != "":
		return LayerLimit, own.limit
	case row != nil && row.limit != "":
		return LayerLimit, row.limit
	case row != nil:
		if own != nil && own.clause != "" && row.layer == LayerProtocol {
			return row.layer, own.clause
		}
		return row.layer, row.err.Error()
	}
	var me *mqtt.Error
	if errors.As(err, &me) {
		if me.Clause != "" {
			return LayerProtocol, me.Clause
		}
		return LayerProtocol, me.Code.String()
	}
	var te *topic.Error
	if errors.As(err, &te) {
		if te.Kind == topic.TooManyLevels {
			return LayerLimit, "limits.topic_levels"
		}
		return LayerProtocol, "topic"
	}
	return 0, ""
}

// denied puts a refusal of the authorizer on record and returns it as an error that tells the client nothing but its
// class.
func (b *Broker) denied(c *conn, a identity.Action, name string, d identity.Decision) error {
	b.stats.denied.Add(1)
	r := c.base(LayerAccess, a.String())
	r.Action, r.Topic, r.Decision, r.Code = a, name, d, mqtt.NotAuthorized
	return &recorded{b.refuse(r), errNotAuthorized}
}

// refusedLogin does the same for a verdict.
func (c *conn) refusedLogin(username string, v *identity.Verdict) error {
	c.b.stats.loginsRefused.Add(1)
	err := failureError(v.Failure)
	r := c.base(LayerLogin, "login")
	r.Username, r.Code = username, reasonOf(err)
	var failed identity.Failed
	if errors.As(v.Cause, &failed) {
		r.Check, r.Expected, r.Found = failed.Failed()
	}
	if v.Cause != nil {
		r.Decision.Why = v.Cause.Error()
	}
	return &recorded{c.b.refuse(r), err}
}

// refusedReauthentication does the same for a client that is connected, which is disconnected then.
func (c *conn) refusedReauthentication(v *identity.Verdict) (id string) {
	c.b.stats.loginsRefused.Add(1)
	r := c.base(LayerLogin, "re-authentication")
	r.Code = reasonOf(errReauthenticated)
	var failed identity.Failed
	if errors.As(v.Cause, &failed) {
		_, r.Expected, r.Found = failed.Failed()
	}
	if v.Cause != nil {
		r.Decision.Why = v.Cause.Error()
	}
	return c.b.refuse(r)
}

// withheld records that a message was not delivered to a session for want of rights.
func (b *Broker) withheld(p *identity.Principal, clientID, name string, d identity.Decision) {
	b.stats.deniedDeliveries.Add(1)
	b.deliveries.add(b.clock.Now(), &Refusal{
		Layer: LayerAccess, Check: identity.Receive.String(), ClientID: clientID, Principal: *p, Action: identity.Receive, Topic: name,
		Decision: d, Generation: b.authz.Generation(),
	})
}

// withdrawn records that rights which a client had when it asked are gone: its Will is not published, its subscription is
// removed.
func (b *Broker) withdrawn(p *identity.Principal, clientID string, a identity.Action, name string, d identity.Decision) {
	b.stats.denied.Add(1)
	b.refuse(Refusal{
		Layer: LayerAccess, Check: a.String(), ClientID: clientID, Principal: *p, Action: a, Topic: name, Decision: d, Withdrawn: true,
	})
}

// refusedPublish records a message that was allowed and yet not accepted.
func (b *Broker) refusedPublish(c *conn, name string, err error) {
	b.stats.refusedPublishes.Add(1)
	c.refuseErr(err, identity.Publish, name)
}

// Admission is a login that succeeded.
type Admission struct {
	At        time.Time
	ClientID  string
	Principal identity.Principal
	Remote    string
	Listener  string
	Transport string // as in identity.Evidence
	Version   mqtt.Version
}

// recordLogin tells the recorder, whose error refuses the client.
func (c *conn) recordLogin() error {
	if c.b.recorder == nil {
		return nil
	}
	err := c.b.recorder.LoggedIn(&Admission{
		At: c.b.clock.Now(), ClientID: c.clientID, Principal: *c.principal, Remote: c.remote(), Listener: c.listener,
		Transport: c.evidence.Transport, Version: c.version,
	})
	if err == nil {
		return nil
	}
	return limited(errUnrecorded, "audit.on_failure", err.Error())
}

// limited is a refusal for want of room: key is the limit in the configuration, found what there was.
func limited(err error, key, found string) error {
	return &refusal{err: err, limit: key, detail: found}
}

// overLimit is limited for a number above the limit.
func overLimit(err error, key string, limit int, found string) error {
	return &refusal{err: err, limit: key, expected: "at most " + strconv.Itoa(limit), detail: found}
}
