package outcomes

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/broker"
	"github.com/sealmq/sealmq/internal/ca"
	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/node"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/protect"
)

// fieldFile is the configuration of the broker that opens what devices without TLS seal to it, and hands it on.
const fieldFile = `version: 1
node: {data_dir: field-data}
listeners:
  - {name: field, bind: "127.0.0.1:0"}
  - {name: lan, bind: "127.0.0.1:0", tls: {cert: pki/localhost.crt, key: pki/localhost.key}}
auth: {anonymous: true}
acl: [{who: anyone, allow: all, topic: "#"}]
keys: {dir: keyrings/broker}
protection:
  storage_key: rest
  signer: hand
  rules:
    - {topic: "ra/#", require: [confidential, source], redistribute: plaintext-to-tls}
    - {topic: "rb/#", require: [confidential, source], redistribute: sealed, group: field}
RULES
limits:
  sessions_per_principal: 1000000
  publish_rate: {per_client: unlimited}
  queue: {qos0_offline: true}
log: {level: error}
`

// openField starts that broker. Its operator is under TLS, as everybody who reads plaintext from it.
func openField(ctx context.Context, dir string, f fault) (*site, error) {
	now := time.Now()
	authority, err := ca.Init(filepath.Join(dir, "pki"), ca.Options{Name: "lab"}, now)
	if err != nil {
		return nil, err
	}
	if _, err := authority.Issue(ca.Request{Name: "localhost", Profile: ca.Server, SANs: []string{"127.0.0.1"}}, now); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "field.yaml")
	text := strings.Replace(fieldFile, "RULES\n", rules(), 1)
	if f == protectionOff {
		text = strings.Replace(text, "protection:\n", "protection:\n  mode: observe\n", 1)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	plan, err := config.FromFlags(config.Flags{Config: file, Dev: true})
	if err != nil {
		return nil, err
	}
	s := &site{data: plan.Config.Node.DataDir, seen: newInbox(), tls: &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost", MinVersion: tls.VersionTLS13}}
	s.tls.RootCAs.AddCert(authority.Cert)
	if s.node, err = node.Start(ctx, plan, slog.New(slog.DiscardHandler), "lab"); err != nil {
		return nil, err
	}
	s.address, s.secure = s.node.Addrs()[0].String(), s.node.Addrs()[1].String()
	return s, s.watch(ctx, append(allTopics(), branchTLS+"/#", branchGroup+"/#")...)
}

// rules demand each mechanism on its branch.
func rules() string {
	var b strings.Builder
	for _, m := range Mechanisms {
		if m.ruled() {
			b.WriteString(m.rule())
		}
	}
	return b.String()
}

// overTLS is a dialler with a handshake behind it.
func overTLS(dial dialFunc, cfg *tls.Config) dialFunc {
	return func(ctx context.Context, u *url.URL) (net.Conn, error) {
		c, err := dial(ctx, u)
		if err != nil {
			return nil, err
		}
		s := tls.Client(c, cfg)
		if err := s.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return s, nil
	}
}

// fence is a genuine message behind all trials: who has it has everything before it.
var fence = &Attack{Name: "fence"}

// brokerExperiment carries the trials out where the broker opens or checks what it is sent, and refuses what it should. The
// forger comes last: who speaks in another's name and is believed ends the other's session.
func (r *route) brokerExperiment(ctx context.Context, trials []*trial) error {
	if r.c.Will && r.m.Name == "sign" { // Wills of one signer are ordered, over all routes
		r.lab.wills.Lock()
		defer r.lab.wills.Unlock()
	}
	end := &trial{attack: fence, topic: r.name + "/fence", text: r.text(len(trials))}
	order := append(trials[:len(trials):len(trials)], end)
	forges := func(t *trial) bool { return t.attack.Name == "member-forges" }
	i := slices.IndexFunc(order, forges)
	order = append(append(order[:i:i], order[i+1:]...), order[i])
	for _, t := range order {
		if err := r.runThroughBroker(ctx, t); err != nil {
			return fmt.Errorf("%s %s: %w", t.attack.Name, t.leg, err)
		}
	}
	return r.receive(ctx, order)
}

func (r *route) runThroughBroker(ctx context.Context, t *trial) error {
	switch {
	case t.attack.Name == "replay" && (r.m.broker != "" || r.m.proved() && r.m.level != protecting.LevelChecksum):
		return r.replayThroughBroker(ctx, t)
	case t.attack.Name == "member-forges":
		payload, err := r.forge(t)
		if err != nil {
			return err
		}
		return r.intrude(ctx, t, payload)
	case r.m.broker != "" && t.attack.Name == "other-sender" && t.leg == LegIn: // the publisher's message, from another connection
		if err := r.send(ctx, t, t.text); err != nil {
			return err
		}
		t.want, t.altered = 1, true
		return r.intrude(ctx, t, r.in.Last(t.topic))
	case t.attack.alters != nil && t.leg == LegIn:
		r.in.On(t.topic, func(topic string, payload []byte) (string, []byte) {
			topic, payload = t.attack.alters(r, topic, payload)
			r.mu.Lock()
			defer r.mu.Unlock()
			t.altered = true
			return topic, payload
		})
		id := r.name + " publisher"
		if r.c.Will {
			id += " " + t.topic
		}
		return r.await(ctx, t, id, r.publish(ctx, t, t.text))
	}
	return r.run(ctx, t)
}

// forge is a message of the member's in the publisher's name. Where the broker opens it, it is made for the connection that
// carries it.
func (r *route) forge(t *trial) ([]byte, error) {
	m := &protect.Message{Topic: t.topic, Payload: []byte(forged), Will: r.c.Will}
	f := r.lab.forgers[r.m.Name]
	switch {
	case r.m.broker != "":
		var err error
		if f, err = r.lab.people.toBrokerForger(r.intruderID(t)); err != nil {
			return nil, err
		}
	case r.sid != nil:
		var err error
		if f, err = r.lab.people.inNameOf(r.sid); err != nil {
			return nil, err
		}
	case f == nil:
		return r.lab.members[r.m.Name].Seal(t.topic, m.Payload, m.Will)
	}
	return f.Seal(nil, m)
}

// publish sends a message of the publisher and waits for nothing.
func (r *route) publish(ctx context.Context, t *trial, text string) error {
	if !r.c.Will {
		return r.publisher.Publish(ctx, r.message(t.topic, []byte(text)))
	}
	p, err := r.protector(r.name + " publisher " + t.topic)
	if err != nil {
		return err
	}
	return r.die(ctx, "publisher", r.in.Dial, p, t.topic, []byte(text))
}

func (r *route) intruderID(t *trial) string {
	if r.c.Will {
		return r.name + " intruder " + t.topic
	}
	return r.name + " intruder"
}

// intrude sends bytes as they are from a connection of an attacker's.
func (r *route) intrude(ctx context.Context, t *trial, payload []byte) error {
	var err error
	switch {
	case r.c.Will:
		err = r.die(ctx, "intruder", straight(r.site.address), nil, t.topic, payload)
	case r.intruder == nil:
		if r.intruder, err = client.Dial(ctx, r.config("intruder")); err != nil {
			return err
		}
		fallthrough
	default:
		err = r.intruder.Publish(ctx, r.message(t.topic, payload))
	}
	return r.await(ctx, t, r.intruderID(t), err)
}

// await waits until the broker has refused a message, or its operator has it. sent is how the sending ended: a refusal is
// no error here.
func (r *route) await(ctx context.Context, t *trial, clientID string, sent error) error {
	var (
		publish *client.PublishError
		connack *client.ConnackError
	)
	if sent != nil && !errors.As(sent, &publish) && !errors.As(sent, &connack) {
		return sent
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		rec, ok := r.site.node.Broker().LastRefusal(clientID)
		if ok && rec.Layer == broker.LayerPayload && trialOf(rec.Topic) == trialOf(t.topic) {
			t.refusedAs = reportOf(rec.Check)
			return nil
		}
		if r.site.seen.count(trialOf(t.topic)) > t.want {
			t.want++
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("neither refused nor delivered: %w", context.Cause(ctx))
		}
	}
}

// reportOf puts the broker's word for a refusal into those of the table.
func reportOf(check string) Report {
	switch check {
	case protect.ReasonVerify.String(), protect.ReasonMalformed.String():
		return Unverified
	case protect.ReasonUnknownKey.String():
		return NotMine
	}
	return Policy
}

// replayThroughBroker: a message, the same again in the place of the next, and one more, which shows that nothing is still
// under way.
func (r *route) replayThroughBroker(ctx context.Context, t *trial) error {
	if err := r.send(ctx, t, t.text); err != nil {
		return err
	}
	t.captured = r.in.Last(t.topic)
	var once sync.Once
	r.in.On(t.topic, func(topic string, payload []byte) (string, []byte) {
		once.Do(func() { payload = t.captured })
		return topic, payload
	})
	err := r.publish(ctx, t, t.text)
	var publish *client.PublishError
	if err != nil && !errors.As(err, &publish) {
		return err
	}
	last := r.text(0) + " behind the replay"
	if err := r.send(ctx, t, last); err != nil {
		return err
	}
	for {
		seen, err := r.site.seen.wait(ctx, trialOf(t.topic), 2)
		if err != nil {
			return err
		}
		n := len(seen)
		if string(seen[n-1].payload) == last || r.opensWithBrokerKeys(&seen[n-1], last) {
			if n == 2 {
				t.refusedAs = Duplicate
			}
			t.want = n
			break
		}
		if _, err := r.site.seen.wait(ctx, trialOf(t.topic), n+1); err != nil {
			return err
		}
	}
	if r.c.Delivery == Retained {
		t.want = 1
	}
	return nil
}

// judgeByBroker: what the broker refused, the reader has not, and what was genuine it has.
func (r *route) judgeByBroker(t *trial, events []event) (Outcome, Report, error) {
	for i := range events {
		if e := &events[i]; e.err != nil || isForged(e.payload) {
			return "", reportFailed, fmt.Errorf("the reader got %q, %w", e.payload, e.err)
		}
	}
	if t.attack.alters != nil && !t.altered {
		return "", reportFailed, errors.New("the attacker did not get at the message")
	}
	return Refused, t.refusedAs, nil
}

// opensWithBrokerKeys: the operator reads what the broker sealed, with the broker's keyring.
func (r *route) opensWithBrokerKeys(e *event, text string) bool {
	o, err := protecting.NewOpening(r.lab.people.broker, protecting.OpenOptions{Clock: clock})
	if err != nil {
		return false
	}
	res, err := o.Open(e.topic, e.payload, false)
	return err == nil && string(res.Payload) == text
}
