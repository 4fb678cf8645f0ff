package outcomes

import (
	"fmt"
	"strings"

	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/protect"
)

// Mechanism is one way to protect a payload.
type Mechanism struct {
	Name  string // as in the table
	Title string // for people

	level    protecting.Level
	keys     []string // names of the publisher's keys
	to       []string // names of recipients
	checksum protect.ChecksumForm
	require  protect.Requirement // of the topic
	weaker   string              // the mechanism an attacker replaces it by; "" is plain
	noWill   bool                // it cannot protect a Will: the publisher refuses

	// broker is the branch of topics on which the broker opens what it is sent: branchTLS or branchGroup; "" end to end.
	broker string
}

// Names of the keys. The publisher and the member have keys of their own names.
const (
	groupMAC, groupR, groupS = "group-mac", "group-r", "group-s"
	readerKey                = "reader"
	pairMAC, pairS, signKey  = "pair-mac", "pair-s", "signature"
	toBroker                 = "to-broker" // between one device and the broker
	// of the broker: for the group, for what rests on the disk, and its signature
	fieldKey, restKey, handKey = "field", "rest", "hand"
)

var (
	group        = protect.Requirement{Integrity: protect.IntegrityGroup}
	source       = protect.Requirement{Integrity: protect.IntegritySource}
	confidential = protect.Requirement{Confidential: true}
	sealedGroup  = protect.Requirement{Confidential: true, Integrity: protect.IntegrityGroup}
	sealedSource = protect.Requirement{Confidential: true, Integrity: protect.IntegritySource}
)

// Mechanisms are all of the table, in its order.
var Mechanisms = []*Mechanism{
	{Name: "none", Title: "no protection", level: protecting.LevelNone},
	{
		Name: "checksum-prefix", Title: "checksum, with prefix", level: protecting.LevelChecksum, checksum: protect.ChecksumPrefix,
		require: protect.Requirement{Integrity: protect.IntegrityChecksum},
	},
	{
		Name: "checksum-raw", Title: "checksum, raw", level: protecting.LevelChecksum, checksum: protect.ChecksumRaw,
		require: protect.Requirement{Integrity: protect.IntegrityChecksum},
	},
	{Name: "mac", Title: "MAC, group key", level: protecting.LevelMAC, keys: []string{groupMAC}, require: group, weaker: "checksum-prefix"},
	{Name: "mac-pairwise", Title: "MAC, pairwise key", level: protecting.LevelMAC, keys: []string{pairMAC}, require: source, weaker: "mac"},
	{Name: "sign", Title: "signature", level: protecting.LevelSign, keys: []string{signKey}, require: source, weaker: "mac"},
	{Name: "encrypt-r", Title: "encrypted, group key, mode R", level: protecting.LevelEncrypt, keys: []string{groupR}, require: sealedGroup, weaker: "mac"},
	{Name: "encrypt-s", Title: "encrypted, group key, mode S", level: protecting.LevelEncrypt, keys: []string{groupS}, require: sealedGroup, weaker: "mac"},
	{
		Name: "encrypt-pairwise", Title: "encrypted, pairwise key", level: protecting.LevelEncrypt, keys: []string{pairS},
		require: sealedSource, weaker: "encrypt-s",
	},
	{
		Name: "encrypt-to", Title: "encrypted to public keys", level: protecting.LevelEncrypt, to: []string{readerKey},
		require: confidential, weaker: "mac", noWill: true,
	},
	{
		Name: "sign+encrypt", Title: "signed and encrypted, group key", level: protecting.LevelSignEncrypt, keys: []string{signKey, groupS},
		require: sealedSource, weaker: "encrypt-s",
	},
	{
		Name: "sign+encrypt-to", Title: "signed and encrypted to public keys", level: protecting.LevelSignEncrypt, keys: []string{signKey},
		to: []string{readerKey}, require: sealedSource, weaker: "encrypt-s",
	},
	{
		Name: "to-broker-tls", Title: "sealed to the broker, handed on under TLS", level: protecting.LevelEncrypt, keys: []string{toBroker},
		require: protect.Requirement{}, broker: branchTLS,
	},
	{
		Name: "to-broker-sealed", Title: "sealed to the broker, sealed again for a group", level: protecting.LevelEncrypt,
		keys: []string{toBroker}, require: sealedSource, broker: branchGroup,
	},
}

// The topics of the trials, by what the broker does with them: nothing, hand on in plaintext under TLS, seal for a group.
const (
	branchEnds  = "r"
	branchTLS   = "ra"
	branchGroup = "rb"
)

// branch is the first level of the topics of a trial.
func (m *Mechanism) branch(c *Circumstances) string {
	switch {
	case m.broker != "":
		return m.broker
	case c.Enforced:
		return m.enforcedBranch()
	}
	return branchEnds
}

// enforcedBranch is where a rule of the broker demands the mechanism.
func (m *Mechanism) enforcedBranch() string { return "e-" + strings.ReplaceAll(m.Name, "+", "-") }

// ruled reports whether there is such a rule: not where nothing is demanded, nor where a rule is needed anyway.
func (m *Mechanism) ruled() bool { return m.level != protecting.LevelNone && m.broker == "" }

// proved reports whether the broker of the enforced trials has the key, or needs none.
func (m *Mechanism) proved() bool {
	return m.level == protecting.LevelChecksum || m.Name == "mac" || m.Name == "sign"
}

// rule is the line of the broker's configuration.
func (m *Mechanism) rule() string {
	words := map[protecting.Level]string{
		protecting.LevelChecksum: "checksum", protecting.LevelMAC: "mac", protecting.LevelSign: "sign", protecting.LevelEncrypt: "encrypt",
		protecting.LevelSignEncrypt: "sign+encrypt",
	}
	require := []string{words[m.level]}
	switch m.require.Integrity {
	case protect.IntegrityGroup:
		require = append(require, "group")
	case protect.IntegritySource:
		require = append(require, "source")
	}
	form := map[protect.ChecksumForm]string{protect.ChecksumPrefix: ", checksum: prefix", protect.ChecksumRaw: ", checksum: raw"}[m.checksum]
	return fmt.Sprintf("    - {topic: \"%s/#\", require: [%s]%s}\n", m.enforcedBranch(), strings.Join(require, ", "), form)
}

func mechanism(name string) *Mechanism {
	for _, m := range Mechanisms {
		if m.Name == name {
			return m
		}
	}
	return nil
}
