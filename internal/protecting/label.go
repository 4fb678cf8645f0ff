package protecting

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
	"github.com/sealmq/sealmq/protect"
)

// Label says what is true about an opened message, with the names that this receiver gave to the keys. payload is what
// came; it tells plain bytes from an envelope of a key that is not held.
func (p *Opening) Label(res *protect.Result, payload []byte) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch res.Form {
	case protect.FormPlain:
		if e, err := Inspect(payload); err == nil && e.COSE() {
			return "plain to us: " + e.Structure + " under a key that is not held, nothing verified"
		}
		return "plain, nothing verified"
	case protect.FormChecksum:
		return "checksum matches (not tamper-proof)"
	case protect.FormMAC:
		add("MAC ok, key %s", p.name(res.KID))
	case protect.FormSealed:
		add("sealed with %s", p.name(res.KID))
	case protect.FormSealedTo:
		others := ""
		if res.Recipients > 1 {
			others = fmt.Sprintf(" and %d more", res.Recipients-1)
		}
		add("sealed to %s%s", p.name(res.KID), others)
	}
	if res.Signer != nil {
		add("signed by %s", p.name(res.Signer))
	}
	id := quote(res.Sender)
	switch {
	case !res.SenderKnown:
		if res.Signer == nil {
			add("sender unknown")
		}
	case res.Kind == protect.KindRedistribution:
		add("sender %s as the broker says", id)
	case res.Integrity == protect.IntegrityGroup:
		add("sender %s or another holder of the key", id)
	case res.Integrity == protect.IntegrityNone:
		add("sender %s as the connection says", id)
	case res.Signer == nil:
		add("sender %s", id)
	}
	if res.Kind == protect.KindWill {
		add("will")
	}
	if res.Outcome == protect.SameState {
		add("retained state seen before")
	}
	return strings.Join(parts, ", ")
}

// WhyNot says for local eyes why a message was refused.
func WhyNot(err error) string {
	var r *protect.Refusal
	if errors.As(err, &r) {
		return fmt.Sprintf("refused (%v): %s", r.Reason, r.Detail)
	}
	return "refused: " + err.Error()
}

// name is the name of a key in this keyring, quoted by its alphabet: names hold nothing that could imitate a label.
func (p *Opening) name(kid []byte) string { return Name(p.ring, kid) }

// Name returns the name of a kid in a ring with the kid, or the kid alone.
func Name(ring *keyring.Ring, kid []byte) string {
	if rec := ring.Lookup(kid); rec != nil && rec.Group != "" {
		return fmt.Sprintf("%s (%x)", quote([]byte(rec.Group)), kid)
	}
	return fmt.Sprintf("%x", kid)
}

// quote shows an id as text if it is of letters, digits and a few signs, else in hexadecimal.
func quote(id []byte) string {
	for _, c := range id {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.:/@", c) >= 0) {
			return fmt.Sprintf("0x%x", id)
		}
	}
	return string(id)
}

// structureOf names a COSE tag.
func structureOf(tag uint64) string {
	switch tag {
	case cose.TagEncrypt0:
		return "COSE_Encrypt0"
	case cose.TagEncrypt:
		return "COSE_Encrypt"
	case cose.TagMac0:
		return "COSE_Mac0"
	case cose.TagSign1:
		return "COSE_Sign1"
	}
	return ""
}
