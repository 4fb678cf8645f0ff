package outcomes

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/protect"
)

func clock() time.Time { return time.Now() }

// Attack is one thing somebody tries with a message.
type Attack struct {
	Name  string // as in the table
	Title string // for people

	reads  bool // nothing is changed; the question is whether the text can be read
	alters func(r *route, topic string, payload []byte) (string, []byte)
	// injects sends a message of the attacker's own, after a genuine one.
	injects func(r *route, t *trial) error
}

// Attacks are all of the table, in its order.
var Attacks = []*Attack{
	{Name: "read-wire", Title: "read on the wire", reads: true},
	{Name: "read-broker", Title: "read at the broker", reads: true},
	{Name: "flip", Title: "flip a bit", alters: flip},
	{Name: "flip+checksum", Title: "flip and recompute the checksum", alters: flipAndRecompute},
	{Name: "other-topic", Title: "other topic", alters: otherTopic},
	{Name: "other-sender", Title: "other sender", alters: otherSender},
	{Name: "member-forges", Title: "member forges member", injects: memberForges},
	{Name: "replay", Title: "replay", injects: replay},
	{Name: "downgrade", Title: "downgrade", alters: downgrade},
	{Name: "strip", Title: "strip", alters: strip},
}

func attack(name string) *Attack {
	for _, a := range Attacks {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// content returns the part of a message that carries the text or its ciphertext, as a slice of it.
func content(payload []byte) []byte {
	switch cose.TagOf(payload) {
	case cose.TagEncrypt0:
		var m cose.Encrypt0
		if m.Parse(payload) == nil {
			return m.Ciphertext
		}
	case cose.TagEncrypt:
		var m cose.Encrypt
		if m.Parse(payload) == nil {
			return m.Ciphertext
		}
	case cose.TagMac0:
		var m cose.Mac0
		if m.Parse(payload) == nil {
			return m.Payload
		}
	case cose.TagSign1:
		var m cose.Sign1
		if m.Parse(payload) == nil {
			return m.Payload
		}
	}
	return payload
}

// flip changes one bit in the middle of the content.
func flip(_ *route, topic string, payload []byte) (string, []byte) {
	c := content(payload)
	c[len(c)/2] ^= 1
	return topic, payload
}

// flipAndRecompute changes a bit and computes anew whatever needs no key: the hash of a checksum, in the form the topic has.
func flipAndRecompute(r *route, topic string, payload []byte) (string, []byte) {
	_, head := checksumOf(r.m.checksum, payload)
	c := content(payload[head:])
	c[len(c)-1] ^= 1
	return topic, protect.AppendChecksum(nil, r.m.checksum, payload[head:])
}

// checksumOf returns what stands behind a checksum, and where it begins.
func checksumOf(form protect.ChecksumForm, payload []byte) (rest []byte, head int) {
	head = len(protect.AppendChecksum(nil, form, nil))
	return payload[head:], head
}

// elsewhere is the level that leads to another topic.
const elsewhere = "/elsewhere"

func otherTopic(_ *route, topic string, payload []byte) (string, []byte) {
	return topic + elsewhere, payload
}

// otherSender puts the member's name into the publisher's message, or, where names are out of sight or none, sends another
// message in its place: everybody can make one with what is public.
func otherSender(r *route, topic string, payload []byte) (string, []byte) {
	from, to := r.lab.people.rename(r.m)
	if r.sid != nil {
		from = r.sid
	}
	if r.m.broker != "" { // the broker names the publisher by its Client Identifier
		from, to = []byte(" publisher"), []byte(" intruders")
	}
	switch {
	case from != nil && bytes.Contains(payload, from):
		return topic, bytes.ReplaceAll(payload, from, to)
	case from != nil:
		return topic, r.must(r.lab.forgers[r.m.Name].Seal(nil, &protect.Message{Topic: topic, Payload: []byte(forged), Will: r.c.Will}))
	}
	return topic, r.must(r.lab.members[r.m.Name].Seal(topic, []byte(forged), r.c.Will))
}

// forged is the text of an attacker's own message.
const forged = "the valve is closed, as it should be"

// memberForges: the other member of the group, with all keys that a member has, sends a message in the publisher's name.
func memberForges(r *route, t *trial) error {
	payload, err := r.forge(t)
	if err != nil {
		return err
	}
	return r.inject(t, payload)
}

// replay: somebody who recorded the publisher's first message sends it again.
func replay(r *route, t *trial) error { return r.inject(t, t.captured) }

// downgrade puts a sound message of a weaker mechanism in the place of the publisher's: the strongest of those that the
// attacker has the means for.
func downgrade(r *route, topic string, _ []byte) (string, []byte) {
	if r.m.weaker == "" {
		return topic, []byte(forged)
	}
	return topic, r.must(r.lab.members[r.m.weaker].Seal(topic, []byte(forged), r.c.Will))
}

// strip takes the protection away and passes on what is under it.
func strip(r *route, topic string, payload []byte) (string, []byte) {
	switch {
	case r.m.Name == "sign+encrypt": // a member opens it, and seals it again without the signature
		return topic, r.must(r.lab.members["encrypt-s"].Seal(topic, []byte(forged), r.c.Will))
	case len(r.m.keys)+len(r.m.to) == 0:
		rest, _ := checksumOf(r.m.checksum, payload)
		return topic, rest
	case r.m.require.Confidential || r.m.broker != "": // what is inside cannot be had: the envelope loses the tag that says what it is
		return topic, untagged(payload)
	}
	return topic, slices.Clone(content(payload))
}

// untagged is an envelope without its outer tag, of one or two bytes.
func untagged(payload []byte) []byte {
	if payload[0] == 0xd8 {
		return payload[2:]
	}
	return payload[1:]
}

// isForged reports whether a text is one that an attacker put there.
func isForged(text []byte) bool { return strings.Contains(string(text), forged) }
