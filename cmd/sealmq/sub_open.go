package main

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/internal/protecting"
	"github.com/sealmq/sealmq/protect"
)

// openFlags say which messages are shown, and what is checked before.
type openFlags struct {
	Open       string   `name:"open" enum:",auto,require,raw" default:"" group:"Protection" help:"auto: open what there is a key for. require: refuse what does not meet --require. raw: show payloads as they come, checked by nobody. Default: auto with a keyring, else raw."`
	Require    string   `name:"require" enum:",checksum,mac,sign,encrypt,sign+encrypt" default:"" group:"Protection" help:"Least protection that is shown: checksum, mac, sign, encrypt or sign+encrypt; with --open require alone, mac."`
	MaxAge     duration `name:"max-age" placeholder:"SECONDS" group:"Protection" help:"Refuse messages that are older, or do not say how old they are."`
	OnBad      string   `name:"on-bad" enum:"drop,show,exit" default:"drop" group:"Protection" help:"A message that is refused: drop it with a warning, show it marked, or exit with code 6."`
	Checksum   string   `name:"checksum" enum:",prefix,raw" default:"" group:"Protection" help:"Form in which the topics carry checksums: prefix or raw. It is never guessed."`
	KeepReplay bool     `name:"keep-replay-state" group:"Protection" help:"Remember in the keyring what was seen, so that it is refused after a restart too. One process at a time."`
}

// protect sets up opening and the credential; the Opening is nil if payloads are shown as they come.
func (c *subCommand) protect(a *app, cfg *client.Config) (*protecting.Opening, error) {
	checks := c.Open == "auto" || c.Open == "require" || c.Require != "" || c.Checksum != "" || c.MaxAge != 0 || c.KeepReplay ||
		c.Open == "" && c.Keyring != ""
	checks = checks && c.Open != "raw"
	var keys *protecting.Keys
	var err error
	needs := c.Require != "checksum" && !(c.Require == "" && c.Open != "require" && c.Checksum != "")
	if checks && (needs || c.Keyring != "") || c.Credential != "" {
		if keys, err = c.openKeys(a); err != nil {
			return nil, err
		}
	}
	if err := c.credentialFlags.apply(keys, cfg); err != nil || !checks {
		return nil, err
	}
	level := protecting.Level(c.Require)
	if level == "" && c.Open == "require" {
		level = protecting.LevelMAC
	}
	o := protecting.OpenOptions{
		Require: level.Requirement(), Checksum: checksumForm(c.Checksum), MaxAge: secondsOf(c.MaxAge), Clock: now, KeepReplay: c.KeepReplay,
	}
	if level == protecting.LevelChecksum && o.Checksum == protect.ChecksumNone {
		o.Checksum = protect.ChecksumPrefix
	}
	for _, t := range c.Topics {
		o.Filters = append(o.Filters, protecting.Filter(t))
	}
	opening, err := protecting.NewOpening(keys, o)
	return opening, keyFailure(err)
}

// openKeys opens the keyring. --open auto goes without one, unless it was named: then nothing is opened, and -v says so.
func (c *subCommand) openKeys(a *app) (*protecting.Keys, error) {
	if c.Open == "auto" && c.Keyring == "" && c.Require == "" && c.Credential == "" && !c.KeepReplay {
		path, err := c.keyringFlags.path()
		if err != nil || !protecting.Exists(path) {
			return nil, nil
		}
	}
	return c.keyringFlags.open(a)
}

// shown is what was found out about a message.
type shown struct {
	label   string
	refused bool
	result  protect.Result
}

// unseal opens a message in place. deliver is false for one that is not to be shown.
func (s *subscriber) unseal(m *client.Message) (v *shown, deliver bool, err error) {
	if s.open == nil {
		return nil, true, nil
	}
	res, err := s.open.Open(m.Topic, m.Payload, m.Retain)
	if err == nil {
		if res.Outcome == protect.Duplicate || res.Outcome == protect.Ignore {
			return nil, false, nil
		}
		v = &shown{label: s.open.Label(&res, m.Payload), result: res}
		m.Payload = res.Payload
		return v, true, nil
	}
	why := protecting.WhyNot(err)
	switch s.OnBad {
	case "exit":
		return nil, false, &failure{
			exitProtection, "a message on " + strconv.Quote(m.Topic) + " is refused", why,
			"sealmq inspect shows what it is; --on-bad show prints it", err,
		}
	case "show":
		return &shown{label: why, refused: true}, true, nil
	}
	s.app.warn("dropped a message on " + strconv.Quote(m.Topic) + ": " + why)
	return nil, false, nil
}

// printed is the message in the form that the flags ask for. With -v and --json it says what was verified.
func (s *subscriber) printed(m *client.Message, v *shown) ([]byte, error) {
	switch {
	case v == nil:
		return s.print(nil, m, time.Now())
	case s.JSON:
		line, err := s.print(nil, m, time.Now())
		if err != nil {
			return nil, err
		}
		mark, err := json.Marshal(v.line())
		if err != nil {
			return nil, err
		}
		end := strings.LastIndexByte(string(line), '}')
		out := append(append([]byte{}, line[:end]...), `,"protection":`...)
		return append(append(append(out, mark...), '}'), line[end+1:]...), nil
	case s.Verbose || v.refused:
		// The label comes first, and nothing that a sender chose can begin a line or hold a control character.
		payload := "(null)"
		if len(m.Payload) > 0 {
			payload = oneLine(string(m.Payload))
		}
		return []byte("[" + oneLine(v.label) + "] " + oneLine(m.Topic) + " " + payload + "\n"), nil
	}
	return s.print(nil, m, time.Now())
}

// protectionLine is the member "protection" of sub --json.
type protectionLine struct {
	Label        string `json:"label"`
	Refused      bool   `json:"refused,omitempty"`
	KID          string `json:"kid,omitempty"`
	Signer       string `json:"signer,omitempty"`
	Integrity    string `json:"integrity"`
	Confidential bool   `json:"confidential"`
	EndToEnd     bool   `json:"end_to_end"`
	Sender       string `json:"sender,omitempty"`         // hexadecimal
	ContentType  *int   `json:"content_format,omitempty"` // CoAP Content-Format
	Unordered    bool   `json:"unordered,omitempty"`
	Kind         string `json:"kind,omitempty"` // publish, will or redistribution
	IssuedAt     string `json:"issued_at,omitempty"`
	Expires      string `json:"expires,omitempty"`
	Boot         uint32 `json:"boot,omitempty"`
	Sequence     uint32 `json:"sequence,omitempty"`
}

func (v *shown) line() protectionLine {
	r := &v.result
	l := protectionLine{
		Label: v.label, Refused: v.refused, KID: hex.EncodeToString(r.KID), Signer: hex.EncodeToString(r.Signer),
		Integrity: r.Integrity.String(), Confidential: r.Confidential, EndToEnd: r.EndToEnd,
		Sender: hex.EncodeToString(r.Sender), Boot: r.Boot, Sequence: r.Seq,
	}
	if r.HasIAT {
		l.IssuedAt = r.IAT.UTC().Format(time.RFC3339)
	}
	if r.HasExp {
		l.Expires = r.Exp.UTC().Format(time.RFC3339)
	}
	if r.HasContentType {
		n := int(r.ContentType)
		l.ContentType = &n
	}
	if r.Kind != 0 {
		l.Kind, l.Unordered = r.Kind.String(), !r.Ordered
	}
	return l
}
