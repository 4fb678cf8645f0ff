package payload

import (
	"errors"
	"fmt"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/message"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// ErrKey is wrapped when a name in the settings does not lead to one usable key.
var ErrKey = errors.New("key of the payload policy")

// sealers makes what the settings need to hand messages on.
func (cur *policy) sealers(s *Settings, clock protect.Clock) error {
	var signer *keyring.Record
	var err error
	if s.Signer != "" {
		if signer, err = cur.find(s.Signer, func(r *keyring.Record) bool { return r.Use == keyring.UseSign && r.Broker && r.Key.Private() }); err != nil {
			return fmt.Errorf("%w: signer %w, an active signature key marked broker", ErrKey, err)
		}
	}
	make1 := func(name string, signer *keyring.Record) (*protect.Sealer, error) {
		rec, err := cur.find(name, redistributes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w, an active encryption key with the sender rule redistribution", ErrKey, err)
		}
		session, err := cur.keys.Session(rec)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrKey, name, err)
		}
		cfg := protect.SealerConfig{Key: rec, Signer: signer, Session: session, Clock: clock}
		if cur.keys.Budget != nil {
			cfg.Limit = cur.keys.Budget(rec)
		}
		return protect.NewSealer(cfg)
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		if r.Redistribute != SealedToGroup {
			continue
		}
		for _, signed := range []bool{false, true} {
			key := outKey{r.Group, signed}
			if cur.out[key] != nil || signed && signer == nil {
				continue
			}
			by := signer
			if !signed {
				by = nil
			}
			if cur.out[key], err = make1(r.Group, by); err != nil {
				return err
			}
		}
	}
	if s.StorageKey != "" {
		cur.storage, err = make1(s.StorageKey, nil)
	}
	return err
}

func redistributes(r *keyring.Record) bool {
	return r.Sender.Kind == keyring.SenderRedistribution && (r.Use == keyring.UseR || r.Use == keyring.UseS)
}

// find returns the one active record of a name that fits.
func (cur *policy) find(name string, fits func(*keyring.Record) bool) (*keyring.Record, error) {
	var found *keyring.Record
	for _, rec := range cur.keys.Ring.Records() {
		if rec.Group != name && fmt.Sprintf("%x", rec.KID) != name || !rec.Seals() || !fits(rec) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%q names two", name)
		}
		found = rec
	}
	if found == nil {
		return nil, fmt.Errorf("%q names none", name)
	}
	return found, nil
}

// redistribute seals an opened message for what follows.
func (cur *policy) redistribute(c *concern, a *message.Arrival, res *protect.Result, j *message.Judgement) *protect.Refusal {
	sealer := cur.storage
	if c.route == SealedToGroup {
		sealer = cur.out[outKey{c.group, c.signed}]
	}
	switch {
	case sealer == nil:
		return &protect.Refusal{Reason: protect.ReasonState, Detail: "no key to redistribute with"}
	case len(res.Sender) > keyring.MaxSenderID:
		return &protect.Refusal{Reason: protect.ReasonSender, Detail: fmt.Sprintf("client identifier of %d bytes: a redistributed message carries at most %d", len(res.Sender), keyring.MaxSenderID)}
	}
	j.Replaced = true
	if c.route == PlaintextToTLS && len(res.Payload) == 0 {
		// The tombstone: sealed by a sender with the right to publish, it removes what is retained.
		j.Payload = nil
		return nil
	}
	out, err := sealer.Redistribute(nil, a.Topic, res)
	switch {
	case errors.Is(err, keyring.ErrExhausted):
		return &protect.Refusal{Reason: protect.ReasonLimit, Detail: err.Error()}
	case err != nil:
		return &protect.Refusal{Reason: protect.ReasonState, Detail: err.Error()}
	}
	j.Payload = out
	if c.route == PlaintextToTLS {
		j.Sealed, j.Plain = true, res.Payload
	}
	return nil
}

// Reveal returns what a message holds that the policy sealed for itself, for a receiver whose connection is encrypted.
func (p *Policy) Reveal(m *message.Message) ([]byte, error) {
	cur := p.current.Load()
	if cur == nil {
		return nil, fmt.Errorf("%w: none is configured", ErrKey)
	}
	res, _, err := cur.rest.Begin(nil, &protect.Delivery{Topic: m.Topic(), Payload: m.Payload()}, protect.Requirement{Confidential: true}, protect.ChecksumNone)
	if err != nil {
		return nil, err
	}
	if res.Kind != protect.KindRedistribution {
		return nil, fmt.Errorf("%w: not sealed by the broker", ErrKey)
	}
	return res.Payload, nil
}

// Renew seals a stored message again if its key is no longer the one that seals: subscribers who only got the new epoch
// can then open it, and whoever was left out of it cannot. It keeps the time of the first redistribution. ok is false when
// there is nothing to do.
func (p *Policy) Renew(m *message.Message) (out []byte, ok bool) {
	cur := p.current.Load()
	if cur == nil || len(m.Payload()) == 0 {
		return nil, false
	}
	p.noteUnprotected(cur, m)
	res, _, err := cur.rest.Begin(nil, &protect.Delivery{Topic: m.Topic(), Payload: m.Payload()}, protect.Requirement{Confidential: true}, protect.ChecksumNone)
	if err != nil || res.Kind != protect.KindRedistribution {
		return nil, false
	}
	rec := cur.keys.Ring.Lookup(res.KID)
	if rec == nil || rec.Seals() || rec.Group == "" {
		return nil, false
	}
	sealer := cur.out[outKey{rec.Group, res.Signer != nil}]
	if m.Sealed {
		sealer = cur.storage
	}
	if sealer == nil {
		return nil, false
	}
	if out, err = sealer.Redistribute(nil, m.Topic(), &res); err != nil {
		p.log.Error("retained message not sealed again", "topic", m.Topic(), "err", err)
		return nil, false
	}
	return out, true
}

// noteUnprotected counts stored messages that are plainly less than their topic requires now.
func (p *Policy) noteUnprotected(cur *policy, m *message.Message) {
	c := cur.table.concern(m.Topic())
	if c == nil || m.Sealed || !c.enforced.req.Confidential && c.enforced.req.Integrity < protect.IntegrityGroup ||
		cose.TagOf(cose.TrimSelfDescribed(m.Payload())) != 0 {
		return
	}
	p.bare.mu.Lock()
	defer p.bare.mu.Unlock()
	p.bare.count++
	p.bare.topic = m.Topic()
}

// Unprotected returns how many of the messages that Renew has seen since the last call are in plaintext although their topic
// requires more, and the topic of one of them. They came before the rules.
func (p *Policy) Unprotected() (count int, topic string) {
	p.bare.mu.Lock()
	defer p.bare.mu.Unlock()
	count, topic = p.bare.count, p.bare.topic
	p.bare.count, p.bare.topic = 0, ""
	return count, topic
}
