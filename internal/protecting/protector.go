package protecting

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/protect"
)

// ErrNotNew is returned for a message that verified and is not delivered: seen before, or an empty raw payload on a
// protected topic.
var ErrNotNew = errors.New("nothing new")

// Protector is a client.Protector. A nil part leaves messages as they are.
type Protector struct {
	Publish *Sealing
	Will    *Sealing
	Receive *Opening
	// Sealed is told what leaves; it must return soon.
	Sealed func(kind client.Kind, topic string, envelope []byte)
}

var _ client.Protector = (*Protector)(nil)

// Seal implements client.Protector. A Payload Format Indicator goes: an envelope is not UTF-8, whatever is inside.
func (p *Protector) Seal(kind client.Kind, m *client.Message) error {
	s := p.Publish
	if kind == client.KindWill {
		s = p.Will
	}
	if s == nil || s.level == LevelNone {
		return nil
	}
	out, err := s.Seal(m.Topic, m.Payload, kind == client.KindWill)
	if err != nil {
		return err
	}
	m.Payload = out
	if m.Properties != nil {
		m.Properties.Remove(mqtt.PropPayloadFormat)
	}
	if p.Sealed != nil {
		p.Sealed(kind, m.Topic, out)
	}
	return nil
}

// Open implements client.Protector.
func (p *Protector) Open(m *client.Message) error {
	if p.Receive == nil {
		return nil
	}
	res, err := p.Receive.Open(m.Topic, m.Payload, m.Retain)
	if err != nil {
		return err
	}
	if res.Outcome != protect.Deliver && res.Outcome != protect.SameState {
		return fmt.Errorf("%w: %v", ErrNotNew, res.Outcome)
	}
	m.Payload = res.Payload
	return nil
}

// Credential is a client.CredentialSealer.
type Credential struct {
	Keys     *Keys
	Record   *keyring.Record
	Server   string         // configured on both sides
	Password keyring.Secret // P1 only
	Clock    protect.Clock
}

var _ client.CredentialSealer = (*Credential)(nil)

// SealPassword implements client.CredentialSealer.
func (c *Credential) SealPassword(prefix []byte, p *mqtt.Connect) ([]byte, error) {
	return c.Seal(&protect.Connect{
		Level: byte(p.ProtocolVersion), ClientID: p.ClientID, HasUsername: p.HasUsername, Username: p.Username,
		Server: c.Server, HasBinding: true, Binding: sha256.Sum256(prefix),
	})
}

// Seal returns the Password of one attempt. Its number is stored before.
func (c *Credential) Seal(p *protect.Connect) ([]byte, error) {
	now := time.Now()
	if c.Clock != nil {
		now = c.Clock()
	}
	number, err := c.Keys.Credential(c.Record.KID).ReserveFrom(uint64(max(now.UnixMilli(), 1)))
	if err != nil {
		return nil, err
	}
	return protect.SealCredential(protect.CredentialConfig{Record: c.Record, Number: number, Clock: c.Clock, Password: c.Password}, p)
}
