package protect

import (
	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
)

// checkTime is step 7. A message is timed if exp, or an iat within max-age, was
// checked; the topic requirement `fresh` asks for that of a first message.
func (w *opening) checkTime(clock Clock) *Refusal {
	c := w.claims
	maxAge, limited := w.ev.maxAge, w.owner.MaxAge != 0
	retained := w.d.Retain && w.kind != KindWill && limited
	if clock == nil {
		if c.HasExp || !w.ev.seq.ordered || retained {
			return refuse(ReasonTime, "no clock to judge the message by")
		}
		return nil
	}
	return w.checkAge(uint64(max(clock().Unix(), 0)), maxAge, retained)
}

// checkAge judges the claims by the clock. retained: the message is a state whose record has a max-age.
func (w *opening) checkAge(now, maxAge uint64, retained bool) *Refusal {
	c := w.claims
	w.ev.now = now
	if c.HasExp && now >= c.Exp {
		return refuse(ReasonTime, "expired %d s ago", now-c.Exp)
	}
	if c.HasIAT && c.IAT > now+futureLeeway {
		return refuse(ReasonTime, "issued %d s in the future", c.IAT-now)
	}
	young := c.HasIAT && (c.IAT >= now || now-c.IAT <= maxAge)
	if !w.ev.seq.ordered && !young {
		return refuse(ReasonTime, "unordered message without an iat within %d s", maxAge)
	}
	if retained && ((!c.HasExp && !c.HasIAT) || (c.HasIAT && !young)) {
		return refuse(ReasonTime, "retained message without exp or an iat within %d s", maxAge)
	}
	w.ev.timed = c.HasExp || young
	return nil
}

// describe fills the result from what has been verified.
func (w *opening) describe() {
	rec, res := w.rec, &w.res
	res.Kind, res.KID, res.EndToEnd = w.kind, rec.KID, w.kind != KindRedistribution && rec.E2E
	header := &w.env.headers.Protected
	switch w.env.tag {
	case cose.TagEncrypt0:
		res.Form, res.Confidential, res.Integrity = FormSealed, true, groupOrSource(rec)
	case cose.TagEncrypt:
		res.Form, res.Confidential, res.Integrity = FormSealedTo, true, IntegrityNone
		res.Recipients = len(w.env.enc.Recipients)
	case cose.TagMac0:
		res.Form, res.Integrity = FormMAC, groupOrSource(rec)
	case cose.TagSign1:
		res.Form = FormSigned
	}
	res.Sender = w.sender
	if w.signer != nil {
		res.Signer, res.Integrity = w.signer.KID, IntegritySource
		if w.env.nested() {
			header = &w.inner.Protected
			if w.kind != KindRedistribution && w.signer.Sender.Kind == keyring.SenderFixed {
				res.Sender = w.signer.Sender.ID
			}
		}
	}
	res.SenderKnown = len(res.Sender) > 0
	res.HasContentType, res.ContentType = header.Has(cose.HasContentType), header.ContentType
	res.setClaims(w.claims)
	if w.ev.seq.ordered {
		res.Ordered, res.Boot, res.Seq = true, w.ev.seq.boot, w.ev.seq.seq
	}
}

// groupOrSource: whoever holds a shared key can make its messages, so it names
// a source only if one sender and one receiver hold it.
func groupOrSource(rec *keyring.Record) Integrity {
	if rec.Pairwise {
		return IntegritySource
	}
	return IntegrityGroup
}
