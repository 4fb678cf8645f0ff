package node

import (
	"fmt"
	"time"

	"github.com/sealmq/sealmq/internal/config"
	"github.com/sealmq/sealmq/internal/control"
	"github.com/sealmq/sealmq/internal/payload"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// CheckPayload looks at the payload rules with the keys that the configuration names, as Start would, and changes nothing.
// It says for each rule what the broker can check.
func CheckPayload(c *config.Config) ([]payload.Strength, error) {
	if len(c.Protection.Rules) == 0 && c.Keys.Dir == "" {
		return nil, nil
	}
	ring := &keyring.Ring{}
	var described []*keyring.Record
	var keys payload.Keys
	if c.Keys.Dir != "" {
		dir, err := openKeys(&c.Keys)
		if err != nil {
			return nil, err
		}
		ring, described = dir.Ring(), dir.Descriptions()
		keys = payload.Keys{
			Ring: ring, Described: dir.Described,
			Session: func(*keyring.Record) (*protect.Session, error) { return protect.NewSession(1, nil) }, // seals nothing
		}
	}
	replay, err := protect.NewReplay(protect.ReplayLimits{}, nil)
	if err != nil {
		return nil, err
	}
	policy := payload.New(payload.Options{Replay: replay, Clock: time.Now})
	if _, err := policy.Prepare(c.PayloadSettings(), c.ACL.Groups, keys); err != nil {
		return nil, fmt.Errorf("payload policy: %w", err)
	}
	return payload.Strengths(c.PayloadSettings(), ring, described), nil
}

// Coverage implements control.Coverage.
func (o operator) Coverage() []payload.RuleCoverage { return o.n.payload.policy.Coverage() }

var _ control.Coverage = operator{}
