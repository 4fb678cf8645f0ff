package protecting

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

const replayFile = "replay.state"

// OpenOptions say what a receiver accepts.
type OpenOptions struct {
	// Require holds on every topic, those that begin with $ only if a filter covers them.
	Require protect.Requirement
	// Filters are the topic filters subscribed to.
	Filters  []string
	Checksum protect.ChecksumForm
	// MaxAge refuses messages that are older or do not say how old they are; 0 leaves it to the key records.
	MaxAge time.Duration
	Clock  protect.Clock
	// ClientID and TLS are of the connection that messages came on, where the receiver is in the place of a broker.
	ClientID string
	TLS      bool
	// KeepReplay keeps the replay state in the keyring's folder. One process at a time can.
	KeepReplay bool
}

// Opening opens messages for one receiver. It is safe for concurrent use.
type Opening struct {
	ring   *keyring.Ring
	opener *protect.Opener
	policy *protect.Policy
	need   protect.Requirement
	replay *protect.Replay
	state  *protect.StateFile // nil: replay state in memory
	maxAge time.Duration
	clock  protect.Clock
	client string
	tls    bool
}

// NewOpening returns an Opening; keys may be nil, which leaves checksums and plain messages.
func NewOpening(keys *Keys, o OpenOptions) (*Opening, error) {
	p := &Opening{ring: &keyring.Ring{}, need: o.Require, maxAge: o.MaxAge, clock: o.Clock, client: o.ClientID, tls: o.TLS}
	entries := make([]protect.Entry, 0, len(o.Filters)+1)
	for _, f := range append([]string{"#"}, o.Filters...) {
		entries = append(entries, protect.Entry{Filter: f, Require: o.Require, Checksum: o.Checksum})
	}
	var err error
	if p.policy, err = protect.NewPolicy(entries...); err != nil {
		return nil, err
	}
	var store protect.StateStore
	if keys != nil {
		p.ring = keys.Ring()
		if o.KeepReplay {
			if p.state, err = protect.OpenStateFile(filepath.Join(keys.path, replayFile)); err != nil {
				return nil, err
			}
			store = p.state
		}
	}
	if p.replay, err = protect.NewReplay(protect.ReplayLimits{}, store); err == nil {
		p.opener, err = protect.NewOpener(protect.OpenerConfig{Keys: p.ring, Replay: p.replay, Policy: p.policy, Clock: o.Clock})
	}
	if err != nil && p.state != nil {
		err = errors.Join(err, p.state.Close())
	}
	return p, err
}

// Open checks a received message. The error is a *protect.Refusal.
func (p *Opening) Open(topic string, payload []byte, retain bool) (protect.Result, error) {
	req, _, err := p.policy.For(topic)
	if err == nil && !covers(req, p.need) {
		return protect.Result{}, &protect.Refusal{
			Reason: protect.ReasonUnprotected, Detail: fmt.Sprintf("no subscription covers the topic %q", topic),
		}
	}
	res, err := p.opener.Open(nil, &protect.Delivery{Topic: topic, Payload: payload, Retain: retain, ClientID: p.client, TLS: p.tls})
	if err != nil || p.maxAge == 0 || res.Outcome == protect.Duplicate || res.Outcome == protect.Ignore {
		return res, err
	}
	if !res.HasIAT || p.clock().Sub(res.IAT) > p.maxAge {
		return protect.Result{}, &protect.Refusal{
			Reason: protect.ReasonTime, Detail: fmt.Sprintf("not shown to be younger than %v", p.maxAge),
		}
	}
	return res, nil
}

func covers(have, need protect.Requirement) bool {
	return have.Integrity >= need.Integrity && (have.Confidential || !need.Confidential) &&
		(have.EndToEnd || !need.EndToEnd) && (have.Fresh || !need.Fresh)
}

// Close keeps the replay state, if that was asked for.
func (p *Opening) Close() error {
	if p.state == nil {
		return nil
	}
	return errors.Join(p.replay.Close(), p.state.Close())
}

// Filter returns the topic filter inside a shared subscription, or the filter itself.
func Filter(subscription string) string {
	if rest, ok := strings.CutPrefix(subscription, "$share/"); ok {
		if _, filter, ok := strings.Cut(rest, "/"); ok {
			return filter
		}
	}
	return subscription
}
