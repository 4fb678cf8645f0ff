package protecting

import (
	"errors"
	"fmt"
	"time"

	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// Level is what a publisher asks for.
type Level string

// The levels.
const (
	LevelNone        Level = "none"
	LevelChecksum    Level = "checksum"
	LevelMAC         Level = "mac"
	LevelSign        Level = "sign"
	LevelEncrypt     Level = "encrypt"
	LevelSignEncrypt Level = "sign+encrypt"
)

// Requirement is what a receiver demands when it asks for the level.
func (l Level) Requirement() protect.Requirement {
	switch l {
	case LevelChecksum:
		return protect.Requirement{Integrity: protect.IntegrityChecksum}
	case LevelMAC:
		return protect.Requirement{Integrity: protect.IntegrityGroup}
	case LevelSign:
		return protect.Requirement{Integrity: protect.IntegritySource}
	case LevelEncrypt:
		return protect.Requirement{Confidential: true}
	case LevelSignEncrypt:
		return protect.Requirement{Confidential: true, Integrity: protect.IntegritySource}
	}
	return protect.Requirement{}
}

// SealOptions say how messages leave.
type SealOptions struct {
	Level    Level
	Keys     []string // names: the key of the level; for sign+encrypt the signer, and the shared key if there is no To
	To       []string // names of recipients
	Checksum protect.ChecksumForm
	ClientID string // of the connection, for keys that want it
	Sender   []byte // id on the wire; nil: that of the keyring
	// ContentFormat is a CoAP Content-Format, sent in the protected header; nil: none.
	ContentFormat *uint16
	// Will: what is sealed is a Will, which is always in order.
	Will bool
	// Shared: the names are for two levels, those of messages and of the Will; each takes what fits it.
	Shared bool
	TTL    time.Duration // whole seconds; 0: no expiry
	Clock  protect.Clock
}

// ErrOptions is wrapped when the names given do not fit the level.
var ErrOptions = errors.New("keys do not fit the level")

// Sealing seals the messages of one sender at one level. It is safe for concurrent use.
type Sealing struct {
	level    Level
	checksum protect.ChecksumForm
	sealer   *protect.Sealer
	ttl      time.Duration
	format   *uint16
	clock    protect.Clock
}

// NewSealing finds the records and checks that they fit together. keys may be nil where no key is needed. A boot number
// is stored, so it is called once for a run, not once for a message.
func NewSealing(keys *Keys, o SealOptions) (*Sealing, error) {
	s := &Sealing{level: o.Level, checksum: o.Checksum, ttl: o.TTL, format: o.ContentFormat, clock: o.Clock}
	if o.Level == LevelNone || o.Level == LevelChecksum {
		if !o.Shared && (len(o.Keys)+len(o.To) > 0 || o.TTL != 0) {
			return nil, fmt.Errorf("%w: level %s has no key and no expiry", ErrOptions, o.Level)
		}
		if s.checksum == protect.ChecksumNone {
			s.checksum = protect.ChecksumPrefix
		}
		return s, nil
	}
	if keys == nil {
		return nil, fmt.Errorf("%w: level %s needs a keyring", ErrOptions, o.Level)
	}
	cfg, err := keys.records(&o)
	if err != nil {
		return nil, err
	}
	if err := keys.complete(cfg, &o); err != nil {
		return nil, err
	}
	s.sealer, err = protect.NewSealer(*cfg)
	return s, err
}

// records finds the records that the names mean at this level.
func (k *Keys) records(o *SealOptions) (*protect.SealerConfig, error) {
	cfg := &protect.SealerConfig{}
	uses := map[Level][]keyring.Use{
		LevelMAC: {keyring.UseMAC}, LevelSign: {keyring.UseSign}, LevelEncrypt: {keyring.UseR, keyring.UseS},
		LevelSignEncrypt: {keyring.UseSign, keyring.UseR, keyring.UseS},
	}[o.Level]
	if uses == nil {
		return nil, fmt.Errorf("%w: level %q", ErrOptions, o.Level)
	}
	encrypts := o.Level == LevelEncrypt || o.Level == LevelSignEncrypt
	for _, name := range o.Keys {
		rec, err := k.Sealing(name, uses...)
		if err != nil && o.Shared {
			if _, other := k.Sealing(name, keyring.UseR, keyring.UseS, keyring.UseMAC, keyring.UseSign); other == nil {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		place := &cfg.Key
		if o.Level == LevelSignEncrypt && rec.Use == keyring.UseSign {
			place = &cfg.Signer
		}
		if *place != nil {
			return nil, fmt.Errorf("%w: two keys for one purpose", ErrOptions)
		}
		*place = rec
	}
	for _, name := range o.To {
		if o.Shared && !encrypts {
			break
		}
		rec, err := k.Sealing(name, keyring.UseEnc)
		if err != nil {
			return nil, err
		}
		cfg.Recipients = append(cfg.Recipients, rec)
	}
	switch {
	case !encrypts && len(cfg.Recipients) > 0:
		return nil, fmt.Errorf("%w: level %s has no recipients", ErrOptions, o.Level)
	case (cfg.Key != nil) == (len(cfg.Recipients) > 0):
		return nil, fmt.Errorf("%w: level %s needs one key, or recipients", ErrOptions, o.Level)
	case o.Level == LevelSignEncrypt && cfg.Signer == nil:
		return nil, fmt.Errorf("%w: level %s needs a signature key too", ErrOptions, o.Level)
	}
	return cfg, nil
}

// complete adds sender, session, clock and budget.
func (k *Keys) complete(cfg *protect.SealerConfig, o *SealOptions) error {
	outer, owner := cfg.Key, cfg.Key
	if outer == nil {
		outer = cfg.Recipients[0]
		owner = outer
		if cfg.Signer != nil && outer.Sender.Kind != keyring.SenderClientID {
			owner = cfg.Signer
		}
	} else {
		cfg.Limit = k.Budget(outer)
	}
	cfg.Clock, cfg.Timestamp, cfg.ClientID = o.Clock, o.Clock != nil, o.ClientID
	var err error
	switch {
	case outer.Sender.Kind != keyring.SenderWire:
	case o.Sender != nil:
		cfg.Sender = o.Sender
	case cfg.Signer != nil:
		cfg.Sender = cfg.Signer.Sender.ID
	default:
		if cfg.Sender, err = k.SenderID(); err != nil {
			return err
		}
	}
	// Messages in order are the rule. Where the record allows others they are made: several programs of one sender can
	// then publish at the same time, and none makes the messages of another stale.
	known := owner.Use == keyring.UseSign || owner.Sender.Kind != keyring.SenderAnonymous
	if known && (o.Will || !owner.Unordered) {
		cfg.Session, err = k.session(owner)
	}
	return err
}

// Seal returns the payload as it leaves. An empty payload stays a message, sealed as any other: the tombstone.
func (s *Sealing) Seal(topic string, payload []byte, will bool) ([]byte, error) {
	switch s.level {
	case LevelNone:
		return payload, nil
	case LevelChecksum:
		return protect.AppendChecksum(nil, s.checksum, payload), nil
	}
	m := &protect.Message{Topic: topic, Payload: payload, Will: will}
	if s.format != nil {
		m.HasContentType, m.ContentType = true, *s.format
	}
	if s.ttl > 0 && s.clock != nil {
		m.Expires = s.clock().Add(s.ttl)
	}
	return s.sealer.Seal(nil, m)
}
