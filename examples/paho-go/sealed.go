// Package sealed is all that a program with another MQTT client needs to protect its payloads: a sealer, an opener, and
// a keyring that sealmq keys has made.
package sealed

import (
	"errors"
	"fmt"
	"time"

	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// Payloads seals and opens the payloads of one sender under one shared key.
type Payloads struct {
	sealer *protect.Sealer
	opener *protect.Opener
}

// New opens the keyring in dir and takes its active encryption key named name. sender is the 8-byte id of this program,
// different in each program that seals with the key.
func New(dir, name string, sender [8]byte) (*Payloads, error) {
	keys, err := keyring.Open(dir, keyring.Secret{})
	if err != nil {
		return nil, err
	}
	var key *keyring.Record
	for _, rec := range keys.Ring().Records() {
		if rec.Group == name && rec.Seals() && rec.Use == keyring.UseR {
			key = rec
		}
	}
	if key == nil {
		return nil, fmt.Errorf("no active encryption key %q in %s", name, dir)
	}
	session, err := protect.OpenSession(keys.Boot(key.KID)) // numbers the messages; the boot number is stored first
	if err != nil {
		return nil, err
	}
	sealer, err := protect.NewSealer(protect.SealerConfig{
		Key: key, Sender: sender[:], Session: session, Clock: time.Now, Timestamp: true, Limit: keys.Budget(key),
	})
	if err != nil {
		return nil, err
	}
	replay, err := protect.NewReplay(protect.ReplayLimits{}, nil)
	if err != nil {
		return nil, err
	}
	// On every topic: nothing that is not encrypted and made by a holder of the key.
	policy, err := protect.NewPolicy(protect.Entry{
		Filter: "#", Require: protect.Requirement{Confidential: true, Integrity: protect.IntegrityGroup},
	})
	if err != nil {
		return nil, err
	}
	opener, err := protect.NewOpener(protect.OpenerConfig{Keys: keys.Ring(), Replay: replay, Policy: policy, Clock: time.Now})
	return &Payloads{sealer, opener}, err
}

// Seal returns the payload to publish on a topic.
func (p *Payloads) Seal(topic string, payload []byte) ([]byte, error) {
	return p.sealer.Seal(nil, &protect.Message{Topic: topic, Payload: payload})
}

// ErrNothingNew is returned for a message that is genuine and was seen before.
var ErrNothingNew = errors.New("seen before")

// Open returns the payload of a received message, and what was verified about it in words.
func (p *Payloads) Open(topic string, payload []byte, retained bool) ([]byte, string, error) {
	res, err := p.opener.Open(nil, &protect.Delivery{Topic: topic, Payload: payload, Retain: retained})
	if err != nil {
		return nil, "", err
	}
	if res.Outcome == protect.Duplicate || res.Outcome == protect.Ignore {
		return nil, "", ErrNothingNew
	}
	return res.Payload, res.Label(), nil
}
