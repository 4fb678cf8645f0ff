package protect

import (
	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
)

// claims finds the description of a key that is not held: who is on the way of an end-to-end message knows its kid, its
// algorithm and its topics, and not its key. It reports false when nothing is known and AnyKey does not let it pass.
func (o *Opener) claims(w *opening) bool {
	w.rec = nil
	switch w.env.tag {
	case cose.TagSign1:
		return false // what verifies a signature is public: whoever lets it pass holds it
	case cose.TagEncrypt:
		return o.describedRecipients(w) || w.d.AnyKey
	}
	if kid := w.env.headers.Protected.KID; o.cfg.Described != nil {
		w.rec = o.cfg.Described(kid)
	}
	return w.rec != nil || w.d.AnyKey
}

// describedRecipients sets the record of the first recipient. All of them must be known: who is on the way lets nobody be
// added to those who can read.
func (o *Opener) describedRecipients(w *opening) bool {
	several := len(w.env.enc.Recipients) > 1
	var first *keyring.Record
	for i := range w.env.enc.Recipients {
		kid := w.env.enc.Recipients[i].Unprotected.KID
		var rec *keyring.Record
		if several {
			rec = o.cfg.Keys.LookupThumbprint(kid)
		} else {
			rec = o.cfg.Keys.Lookup(kid)
		}
		if rec == nil || rec.Use != keyring.UseEnc || !rec.Opens() || !rec.Allows(w.d.Topic) {
			return false
		}
		if first == nil || !rec.E2E { // end-to-end is what all of them are
			first, w.slot = rec, i
		}
	}
	w.rec = first
	return true
}

// checkForm judges a message without its key: the structure, what its key's description says of it, the sender as far as
// it shows, and the times that are not inside. There is nothing to remember, because anybody could have made it.
func (o *Opener) checkForm(w *opening) *Refusal {
	p := &w.env.headers.Protected
	w.kind = KindPublish
	if p.Has(cose.HasKind) {
		w.kind = KindWill
	}
	seq, r := w.env.sequence()
	if r != nil {
		return r
	}
	w.ev.seq = seq
	w.claims = &p.Claims
	if w.rec != nil {
		if r := w.checkDescribed(seq); r != nil {
			return r
		}
	}
	if r := w.checkFormTime(o.cfg.Clock); r != nil {
		return r
	}
	w.claimResult()
	if r := w.req.check(&w.res); r != nil {
		return r
	}
	w.res.Outcome = Deliver
	return nil
}

// checkDescribed compares the message with the description of its key.
func (w *opening) checkDescribed(seq sequence) *Refusal {
	rec, p, u := w.rec, &w.env.headers.Protected, &w.env.headers.Unprotected
	if !rec.Opens() {
		return refuse(ReasonUnknownKey, "kid %x is destroyed", rec.KID)
	}
	if r := w.checkRecord(rec); r != nil {
		return r
	}
	if rec.Sender.Kind == keyring.SenderRedistribution {
		w.kind = KindRedistribution
	}
	wire := u.KIDContext
	if w.env.modeS() {
		wire = wire[:len(wire)-sessionSize]
		if seq.boot == 0 && !rec.Clockless {
			return refuse(ReasonRecord, "kid %x: boot 0 of a sender that must count", rec.KID)
		}
	}
	if r := w.setSender(wire); r != nil {
		return r
	}
	return w.setOwner(p)
}

// checkFormTime judges the times that can be seen. Those of a nested message stand inside.
func (w *opening) checkFormTime(clock Clock) *Refusal {
	if w.env.nested() || clock == nil {
		return nil
	}
	if w.owner == nil {
		w.owner = w.rec
	}
	maxAge, limited := uint64(defaultMaxAge), false
	if w.owner != nil && w.owner.MaxAge != 0 {
		maxAge, limited = w.owner.MaxAgeSeconds(), true
	}
	w.ev.maxAge = maxAge
	return w.checkAge(uint64(max(clock().Unix(), 0)), maxAge, limited && w.d.Retain && w.kind != KindWill)
}

// claimResult fills the result with what the form claims.
func (w *opening) claimResult() {
	res, nested := &w.res, w.env.nested()
	res.Kind, res.Unverified, res.Payload = w.kind, true, nil
	if w.rec != nil {
		res.KID = w.rec.KID
		res.EndToEnd = w.kind != KindRedistribution && w.rec.E2E
	} else {
		res.KID = w.env.headers.Protected.KID
		res.EndToEnd = true // of a key that nobody has described, this receiver knows that it does not hold it
	}
	switch w.env.tag {
	case cose.TagEncrypt0:
		res.Form, res.Confidential, res.Integrity = FormSealed, true, IntegrityGroup
		if w.rec != nil {
			res.Integrity = groupOrSource(w.rec)
		}
	case cose.TagEncrypt:
		res.Form, res.Confidential, res.Integrity, res.Recipients = FormSealedTo, true, IntegrityNone, len(w.env.enc.Recipients)
	case cose.TagMac0:
		res.Form, res.Integrity = FormMAC, IntegrityGroup
		if w.rec != nil {
			res.Integrity = groupOrSource(w.rec)
		}
	case cose.TagSign1:
		res.Form, res.Integrity = FormSigned, IntegritySource
	}
	if nested {
		res.Integrity = IntegritySource
	} else {
		res.setClaims(w.claims)
	}
	if w.ev.seq.ordered {
		res.Ordered, res.Boot, res.Seq = true, w.ev.seq.boot, w.ev.seq.seq
	}
}
