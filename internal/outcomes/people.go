package outcomes

import (
	"crypto/rand"
	"errors"
	"path/filepath"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// topicsOf is where the broker demands nothing.
const topicsOf = branchEnds + "/#"

// allTopics are the filters of all end-to-end trials.
func allTopics() []string {
	out := []string{topicsOf}
	for _, m := range Mechanisms {
		if m.ruled() {
			out = append(out, m.enforcedBranch()+"/#")
		}
	}
	return out
}

// people are the holders of keys: two members of a group who publish, and one who reads. Attackers without keys hold none.
type people struct {
	publisher, member, reader *protecting.Keys
	broker                    *protecting.Keys // of the broker that opens what it is sent
	publisherID, memberID     []byte           // on the wire under a group key
	own                       map[string]*keyring.Record
}

// newPeople makes their keyrings in a folder.
func newPeople(dir string) (*people, error) {
	p := &people{own: map[string]*keyring.Record{}}
	for name, k := range map[string]**protecting.Keys{"publisher": &p.publisher, "member": &p.member, "reader": &p.reader, "broker": &p.broker} {
		var err error
		if *k, err = protecting.Create(filepath.Join(dir, name), keyring.Secret{}); err != nil {
			return nil, err
		}
	}
	var err error
	if p.publisherID, err = p.publisher.SenderID(); err != nil {
		return nil, err
	}
	if p.memberID, err = p.member.SenderID(); err != nil {
		return nil, err
	}
	for _, k := range []struct {
		name string
		use  keyring.Use
	}{{groupMAC, keyring.UseMAC}, {groupR, keyring.UseR}, {groupS, keyring.UseS}} {
		rec, err := protecting.NewRecord(k.name, k.use, allTopics(), nil)
		if err != nil {
			return nil, err
		}
		if err := give(rec, p.publisher, p.member, p.reader); err != nil {
			return nil, err
		}
		p.own[k.name] = rec
		if k.use == keyring.UseMAC { // of the group's keys the broker has this one, and knows of the others
			err = give(rec, p.broker)
		} else {
			err = p.broker.AddDescription(rec)
		}
		if err != nil {
			return nil, err
		}
	}
	rec, err := protecting.NewRecord(readerKey, keyring.UseEnc, allTopics(), nil)
	if err != nil {
		return nil, err
	}
	p.own[readerKey] = rec.Public()
	if err := give(rec, p.reader); err != nil {
		return nil, err
	}
	if err := give(rec.Public(), p.publisher, p.member, p.broker); err != nil {
		return nil, err
	}
	for who, k := range map[string]*protecting.Keys{"publisher": p.publisher, "member": p.member} {
		if err := p.giveOwn(who, k); err != nil {
			return nil, err
		}
	}
	return p, p.giveBroker()
}

// giveBroker makes what the broker has in common with others, and what it has for itself.
func (p *people) giveBroker() error {
	for who, k := range map[string]*protecting.Keys{"publisher": p.publisher, "member": p.member} {
		rec, err := protecting.NewRecord(toBroker, keyring.UseS, []string{branchTLS + "/#", branchGroup + "/#"}, func(rec *keyring.Record) {
			rec.Sender, rec.Pairwise = keyring.SenderRule{Kind: keyring.SenderClientID}, true
		})
		if err != nil {
			return err
		}
		p.own[who+" "+toBroker] = rec
		theirs := rec.Clone()
		theirs.Group = who
		if err := errors.Join(give(rec, k), give(theirs, p.broker)); err != nil {
			return err
		}
	}
	hand, err := protecting.NewRecord(handKey, keyring.UseSign, []string{branchGroup + "/#"}, func(rec *keyring.Record) { rec.Broker = true })
	if err != nil {
		return err
	}
	if err := errors.Join(give(hand, p.broker), give(hand.Public(), p.reader)); err != nil {
		return err
	}
	for name, branch := range map[string]string{fieldKey: branchGroup, restKey: branchTLS} {
		rec, err := protecting.NewRecord(name, keyring.UseR, []string{branch + "/#"}, func(rec *keyring.Record) {
			rec.Sender = keyring.SenderRule{Kind: keyring.SenderRedistribution}
		})
		if err != nil {
			return err
		}
		if err := give(rec, p.broker); err != nil {
			return err
		}
		if name == fieldKey {
			if err := give(rec, p.reader); err != nil {
				return err
			}
		}
	}
	return nil
}

// toBrokerForger is how the member seals under the publisher's kid, for a connection of its own.
func (p *people) toBrokerForger(clientID string) (*protect.Sealer, error) {
	rec := p.own["publisher "+toBroker].Clone()
	rec.Key = p.own["member "+toBroker].Key
	session, err := protect.NewSession(forgedBoot, nil)
	if err != nil {
		return nil, err
	}
	return protect.NewSealer(protect.SealerConfig{Key: rec, Session: session, ClientID: clientID, Clock: clock, Timestamp: true})
}

// giveOwn makes the keys that one publisher shares with nobody but the reader.
func (p *people) giveOwn(who string, k *protecting.Keys) error {
	for _, key := range []struct {
		name string
		use  keyring.Use
	}{{pairMAC, keyring.UseMAC}, {pairS, keyring.UseS}, {signKey, keyring.UseSign}} {
		rec, err := protecting.NewRecord(key.name, key.use, allTopics(), func(rec *keyring.Record) {
			if key.use != keyring.UseSign {
				rec.Sender, rec.Pairwise = keyring.SenderRule{Kind: keyring.SenderFixed, ID: []byte(who)}, true
			}
		})
		if err != nil {
			return err
		}
		p.own[who+" "+key.name] = rec
		public := rec.Public()
		public.Group = who + "-" + key.name
		if err := give(rec, k); err != nil {
			return err
		}
		if err := give(public, p.reader); err != nil {
			return err
		}
		var err2 error
		if key.use == keyring.UseSign {
			err2 = give(public, p.broker)
		} else {
			err2 = p.broker.AddDescription(rec)
		}
		if err2 != nil {
			return err2
		}
	}
	return nil
}

func give(rec *keyring.Record, to ...*protecting.Keys) error {
	for _, k := range to {
		if err := k.Add(rec); err != nil {
			return err
		}
	}
	return nil
}

// sealing is how the holder of a keyring seals by a mechanism. The Client Identifier matters only on the way to a broker.
func (m *Mechanism) sealing(k *protecting.Keys, clientID string) (*protecting.Sealing, error) {
	o := protecting.SealOptions{Level: m.level, Keys: m.keys, To: m.to, Checksum: m.checksum, ClientID: clientID}
	if len(m.keys)+len(m.to) > 0 {
		o.Clock = time.Now
	}
	return protecting.NewSealing(k, o)
}

// forgedBoot is a boot number that no sender has reached: a forger chooses what makes the receiver believe.
const forgedBoot = 1 << 24

// forger is how the member seals in the publisher's name, with what a member has. nil: by the mechanism itself, because it
// has no names.
func (p *people) forger(m *Mechanism) (*protect.Sealer, error) {
	if len(m.keys) == 0 {
		return nil, nil
	}
	session, err := protect.NewSession(forgedBoot, nil)
	if err != nil {
		return nil, err
	}
	cfg := protect.SealerConfig{Session: session, Clock: time.Now, Timestamp: true}
	for _, name := range m.keys {
		switch name {
		case groupMAC, groupR, groupS:
			cfg.Key, cfg.Sender = p.own[name], p.publisherID
		case pairMAC, pairS: // the kid and the name of the publisher, over the only key the member has
			cfg.Key = p.own["publisher "+name].Clone()
			cfg.Key.Key = p.own["member "+name].Key
		case signKey: // the member's own key, that claims to be the publisher's
			cfg.Signer = p.own["member "+name].Clone()
			cfg.Signer.Sender.ID = p.own["publisher "+name].Sender.ID
		}
	}
	switch {
	case m.to != nil:
		cfg.Recipients = []*keyring.Record{p.own[readerKey]}
	case cfg.Key == nil:
		cfg.Key, cfg.Signer = cfg.Signer, nil
	case cfg.Signer != nil:
		cfg.Sender = cfg.Signer.Sender.ID
	}
	return protect.NewSealer(cfg)
}

// another is one more member of the group, with a name of its own, who publishes with a MAC. A broker that checks the order of
// a sender's messages remembers it, and a route whose forger speaks in that name must not disturb the others.
func (p *people) another() (s *protect.Sealer, sid []byte, err error) {
	sid = make([]byte, protecting.SenderSize)
	_, _ = rand.Read(sid) // never fails since Go 1.24
	session, err := protect.NewSession(1, nil)
	if err != nil {
		return nil, nil, err
	}
	s, err = protect.NewSealer(protect.SealerConfig{Key: p.own[groupMAC], Sender: sid, Session: session, Clock: clock, Timestamp: true})
	return s, sid, err
}

// inNameOf is a member who seals in the name of another.
func (p *people) inNameOf(sid []byte) (*protect.Sealer, error) {
	session, err := protect.NewSession(forgedBoot, nil)
	if err != nil {
		return nil, err
	}
	return protect.NewSealer(protect.SealerConfig{Key: p.own[groupMAC], Sender: sid, Session: session, Clock: clock, Timestamp: true})
}

// sealsOnly fits a Sealer to a client that publishes.
type sealsOnly struct{ s *protect.Sealer }

// Seal implements client.Protector.
func (s sealsOnly) Seal(kind client.Kind, m *client.Message) error {
	out, err := s.s.Seal(nil, &protect.Message{Topic: m.Topic, Payload: m.Payload, Will: kind == client.KindWill})
	m.Payload = out
	return err
}

// Open implements client.Protector.
func (sealsOnly) Open(*client.Message) error { return errors.New("a publisher does not receive") }

// rename is what a stranger swaps in a message to put the member's name in the place of the publisher's.
func (p *people) rename(m *Mechanism) (from, to []byte) {
	if len(m.keys) == 0 {
		return nil, nil
	}
	switch name := m.keys[0]; name {
	case groupMAC, groupR, groupS:
		return p.publisherID, p.memberID
	default:
		return p.own["publisher "+name].KID, p.own["member "+name].KID
	}
}
