package protect

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
)

// Time rules in seconds.
const (
	futureLeeway  = 300 // an iat may be this far ahead
	defaultMaxAge = 300 // of unordered messages, and for `fresh`
)

// Clock returns the present time. A nil Clock means a receiver without one: it
// refuses whatever only a clock can judge.
type Clock func() time.Time

// OpenerConfig is the surroundings of an Opener. Keys and Replay are required.
type OpenerConfig struct {
	Keys   *keyring.Ring
	Replay *Replay
	Policy *Policy // nil requires nothing
	Clock  Clock
	// Described finds the description of a key that is not held, a record without its key; nil knows none.
	Described func(kid []byte) *keyring.Record
}

// Opener verifies and opens messages. It is safe for concurrent use.
type Opener struct {
	cfg OpenerConfig

	mu       sync.Mutex          // guards sessions
	sessions map[string]*derived // derived mode S keys; only of verified messages
}

// maxSessions bounds the derived keys an Opener or a Sealer keeps.
const maxSessions = 4096

// NewOpener returns an Opener.
func NewOpener(cfg OpenerConfig) (*Opener, error) {
	if cfg.Keys == nil || cfg.Replay == nil {
		return nil, errors.New("an opener needs keys and a replay state")
	}
	return &Opener{cfg: cfg, sessions: map[string]*derived{}}, nil
}

// Delivery is one received PUBLISH or Will.
type Delivery struct {
	// Topic is the Topic Name after alias resolution, or the Will Topic.
	Topic   string
	Payload []byte
	Retain  bool // the RETAIN flag, as received
	// ClientID is the Client Identifier of the connection the message came in
	// on: set by a broker, empty at a subscriber.
	ClientID string
	// TLS: the connection runs under TLS (set by a broker).
	TLS bool
	// MayClear: the peer may clear retained messages of protected topics.
	MayClear bool
	// FormOnly accepts messages under keys that are described to this receiver but not held, by their form: nothing
	// about them is verified, and Result.Unverified says so. It is for a broker on the way of end-to-end messages.
	FormOnly bool
	// AnyKey, with FormOnly, also accepts keys that are not described. Anyone can make such a message up.
	AnyKey bool
}

// opening is the work space of one Open.
type opening struct {
	env     envelope
	inner   cose.Sign1
	aad     []byte
	fresh   []byte
	key     []byte // of the derived sessions
	nonce   [nonceSize]byte
	d       *Delivery
	req     Requirement
	rec     *keyring.Record // of the outermost layer
	signer  *keyring.Record // nil if unsigned
	owner   *keyring.Record // of replay and time rules
	claims  *cose.Claims    // with iat and exp
	kind    Kind
	sender  []byte // of the outermost layer
	slot    int    // our recipient
	ev      event
	res     Result
	session *derived
	isNew   bool // session is not cached yet
}

var openings = sync.Pool{New: func() any { return &opening{aad: make([]byte, 0, 256)} }}

// Open checks a message in the order the profile fixes: parse; record; sender
// and sequence; replay look-up; cryptography; signer; time; topic policy;
// replay again and commit. It appends the payload to dst where it has to
// decrypt; other payloads alias d.Payload. The error is a *Refusal.
func (o *Opener) Open(dst []byte, d *Delivery) (Result, error) {
	req, form, err := o.cfg.Policy.For(d.Topic)
	if len(d.Payload) == 0 && err == nil {
		return openEmpty(d, req, form)
	}
	w := openings.Get().(*opening)
	defer w.release()
	w.d, w.req = d, req
	res, done, err := o.begin(dst, w, form, err)
	if err != nil || done {
		return res, err
	}
	if refusal := o.commit(w); refusal != nil {
		return Result{}, refusal
	}
	return w.res, nil
}

// begin is steps 1 to 8. done says that there is no sequence to remember, and res is complete.
func (o *Opener) begin(dst []byte, w *opening, form ChecksumForm, conflict error) (res Result, done bool, err error) {
	d := w.d
	refusal := w.env.parse(d.Payload)
	if refusal == nil {
		refusal = o.findRecord(w)
	}
	if refusal != nil && refusal.Reason == ReasonUnknownKey && d.FormOnly && (w.rec == nil || w.rec.Opens()) && o.claims(w) {
		if refusal := o.checkForm(w); refusal != nil {
			return Result{}, false, refusal
		}
		return w.res, true, nil
	}
	if refusal != nil {
		if (refusal.Reason == ReasonMalformed || refusal.Reason == ReasonUnknownKey) && w.rec == nil {
			if conflict != nil {
				return Result{}, false, refuse(ReasonUnprotected, "%v", conflict)
			}
			res, err = openUnprotected(d, w.req, form, refusal)
			return res, err == nil, err
		}
		return Result{}, false, refusal
	}
	if refusal := o.verify(dst, w); refusal != nil {
		return Result{}, false, refusal
	}
	return Result{}, false, nil
}

// release returns the work space without anything of the message.
func (w *opening) release() {
	*w = opening{aad: w.aad[:0], fresh: w.fresh[:0], key: w.key[:0], env: envelope{enc: cose.Encrypt{Recipients: w.env.enc.Recipients[:0]}}}
	openings.Put(w)
}

// openEmpty: an empty raw payload clears a retained message and cannot be
// protected.
func openEmpty(d *Delivery, req Requirement, form ChecksumForm) (Result, error) {
	switch {
	case req.IsZero() && form == ChecksumNone:
		return Result{Outcome: Deliver, Form: FormPlain, Payload: []byte{}}, nil
	case !d.Retain:
		return Result{Outcome: Ignore, Form: FormPlain}, nil
	case !d.MayClear:
		return Result{}, refuse(ReasonClear, "raw retained clear of a protected topic")
	}
	return Result{Outcome: Deliver, Form: FormPlain, Payload: []byte{}}, nil
}

// openUnprotected judges bytes that are no message under a key of ours.
func openUnprotected(d *Delivery, req Requirement, form ChecksumForm, why *Refusal) (Result, error) {
	res := Result{Outcome: Deliver, Form: FormPlain, Payload: d.Payload}
	if form != ChecksumNone {
		payload, ok := openChecksum(form, d.Payload)
		switch {
		case ok:
			res.Form, res.Integrity, res.Payload = FormChecksum, IntegrityChecksum, payload
		case why.Reason == ReasonUnknownKey:
			return Result{}, why
		default:
			return Result{}, refuse(ReasonVerify, "checksum does not match")
		}
	}
	if refusal := req.check(&res); refusal != nil {
		// A cut or foreign message is told from plaintext.
		if why.Reason == ReasonUnknownKey || cose.TagOf(cose.TrimSelfDescribed(d.Payload)) != 0 {
			return Result{}, why
		}
		return Result{}, refusal
	}
	return res, nil
}

// findRecord is step 2: the record by kid, then use, algorithm and topic. It
// leaves w.rec nil if no record has the kid.
func (o *Opener) findRecord(w *opening) *Refusal {
	p := &w.env.headers.Protected
	var rec *keyring.Record
	if w.env.tag == cose.TagEncrypt {
		rec, w.slot = findRecipient(o.cfg.Keys, &w.env.enc)
	} else {
		rec = o.cfg.Keys.Lookup(p.KID)
	}
	if rec == nil {
		return refuse(ReasonUnknownKey, "kid %x", p.KID)
	}
	w.rec = rec
	if !rec.Opens() {
		return refuse(ReasonUnknownKey, "kid %x is destroyed", rec.KID)
	}
	if rec.Use == keyring.UseEnc && !rec.Key.Private() {
		return refuse(ReasonUnknownKey, "kid %x: sealed to another's key", rec.KID)
	}
	return w.checkRecord(rec)
}

// checkRecord compares a message with its record: use, algorithm, topic.
func (w *opening) checkRecord(rec *keyring.Record) *Refusal {
	p := &w.env.headers.Protected
	ok := false
	switch w.env.tag {
	case cose.TagEncrypt0:
		mode := keyring.UseR
		if w.env.modeS() {
			mode = keyring.UseS
		}
		ok = rec.Use == mode && rec.Alg == p.Alg
	case cose.TagMac0:
		ok = rec.Use == keyring.UseMAC && rec.Alg == p.Alg
	case cose.TagSign1:
		ok = rec.Use == keyring.UseSign && rec.Alg == p.Alg
	case cose.TagEncrypt:
		ok = rec.Use == keyring.UseEnc && rec.ContentAlg == p.Alg && rec.Alg == w.env.enc.Recipients[w.slot].Protected.Alg
	}
	if !ok {
		return refuse(ReasonRecord, "kid %x: %v is not the record's use and algorithm", rec.KID, p.Alg)
	}
	if !rec.Allows(w.d.Topic) {
		return refuse(ReasonRecord, "kid %x is not for topic %q", rec.KID, w.d.Topic)
	}
	return nil
}

// findRecipient returns the record of the first recipient we hold: by kid if
// there is one recipient, by thumbprint if there are more. No second is tried.
func findRecipient(keys *keyring.Ring, m *cose.Encrypt) (*keyring.Record, int) {
	if len(m.Recipients) == 1 {
		return keys.Lookup(m.Recipients[0].Unprotected.KID), 0
	}
	for i := range m.Recipients {
		if rec := keys.LookupThumbprint(m.Recipients[i].Unprotected.KID); rec != nil && rec.Key.Private() {
			return rec, i
		}
	}
	return nil, 0
}

// verify is steps 3 to 8.
func (o *Opener) verify(dst []byte, w *opening) *Refusal {
	if r := w.checkSequence(); r != nil {
		return r
	}
	// Step 4. Alarms wait for the cryptography: an unauthenticated message
	// must not raise one. A signed COSE_Encrypt is owned by its signer, who is
	// known only after decryption.
	if w.owner != nil {
		w.fillEvent()
		if _, r := o.cfg.Replay.look(&w.ev); r != nil && !r.Reason.Alarm() && r.Reason != ReasonTime {
			return r
		}
	}
	if r := o.openLayers(dst, w); r != nil { // steps 5 and 6
		return r
	}
	w.fillEvent()
	if r := w.checkTime(o.cfg.Clock); r != nil {
		return r
	}
	w.describe()
	if r := w.req.check(&w.res); r != nil {
		return r
	}
	o.remember(w)
	return nil
}

// commit is step 9.
func (o *Opener) commit(w *opening) *Refusal {
	outcome, r := o.cfg.Replay.commit(&w.ev)
	if r != nil {
		return r
	}
	w.res.Outcome = outcome
	if outcome == Duplicate {
		w.res.Payload = nil
	}
	return nil
}

// checkSequence is step 3: kind, sender and sequence.
func (w *opening) checkSequence() *Refusal {
	rec, p, u := w.rec, &w.env.headers.Protected, &w.env.headers.Unprotected
	w.kind = KindPublish
	if p.Has(cose.HasKind) {
		w.kind = KindWill
	}
	if rec.Sender.Kind == keyring.SenderRedistribution {
		if w.kind == KindWill {
			return refuse(ReasonRecord, "kid %x redistributes and the message is a will", rec.KID)
		}
		w.kind = KindRedistribution
	}
	seq, r := w.env.sequence()
	if r != nil {
		return r
	}
	w.ev.seq = seq
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

// setSender applies the sender rule of the outermost record to the wire.
func (w *opening) setSender(wire []byte) *Refusal {
	rule := &w.rec.Sender
	ok := len(wire) == 0
	switch rule.Kind {
	case keyring.SenderWire:
		ok = len(wire) == rule.Size
		w.sender = wire
	case keyring.SenderRedistribution:
		ok = true
		w.sender = wire
	case keyring.SenderFixed:
		w.sender = rule.ID
	case keyring.SenderClientID:
		if w.d.ClientID == "" {
			return refuse(ReasonSender, "kid %x needs the Client Identifier of the connection", w.rec.KID)
		}
		if w.rec.ClientID != "" && w.rec.ClientID != w.d.ClientID {
			return refuse(ReasonSender, "kid %x belongs to another client", w.rec.KID)
		}
		w.sender = []byte(w.d.ClientID)
	}
	if !ok {
		return refuse(ReasonSender, "kid %x with a sender id of %d bytes on the wire", w.rec.KID, len(wire))
	}
	return nil
}

// setOwner finds whose record rules replay and time, and checks what the
// outermost record says about the sequence. It leaves owner nil for a signed
// COSE_Encrypt, where it is the signer.
func (w *opening) setOwner(p *cose.Header) *Refusal {
	nested, byClient := w.env.nested(), w.rec.Sender.Kind == keyring.SenderClientID
	w.claims = &p.Claims
	if nested && (p.Claims.HasIAT || p.Claims.HasExp) {
		return refuse(ReasonMalformed, "time claims outside the signature")
	}
	if w.env.tag != cose.TagEncrypt {
		w.owner = w.rec
		anonymous := w.rec.Sender.Kind == keyring.SenderAnonymous && w.rec.Use != keyring.UseSign
		return w.checkOrder(w.rec, anonymous)
	}
	switch {
	case byClient && len(w.env.enc.Recipients) != 1:
		return refuse(ReasonRecord, "several recipients on the way to a broker")
	case byClient && !nested && !w.d.TLS:
		return refuse(ReasonRecord, "unsigned and not under TLS: anyone can encrypt to the broker")
	case byClient:
		w.owner = w.rec
		return w.checkOrder(w.rec, false)
	case !nested:
		w.owner = w.rec
		return w.checkOrder(w.rec, true)
	}
	return nil
}

// checkOrder: an unordered cti needs the record's permission, which an
// anonymous sender implies and which then is the only form.
func (w *opening) checkOrder(owner *keyring.Record, anonymous bool) *Refusal {
	switch {
	case anonymous && w.ev.seq.ordered:
		return refuse(ReasonRecord, "kid %x: ordered sequence of an unknown sender", owner.KID)
	case !anonymous && !w.ev.seq.ordered && !owner.Unordered:
		return refuse(ReasonRecord, "kid %x does not allow unordered messages", owner.KID)
	}
	return nil
}

// fillEvent sets what the replay rules need; it is repeated when the owner and
// the claims of a nested message are known.
func (w *opening) fillEvent() {
	sender := w.sender
	if w.owner == w.signer && w.signer != nil && w.env.tag == cose.TagEncrypt {
		sender = w.signer.Sender.ID
	}
	maxAge := w.owner.MaxAgeSeconds()
	if maxAge == 0 {
		maxAge = defaultMaxAge
	}
	w.ev.kid, w.ev.sender, w.ev.topic = w.owner.KID, sender, w.d.Topic
	w.ev.kind, w.ev.retain = w.kind, w.d.Retain
	w.ev.iat, w.ev.maxAge = w.claims.IAT, maxAge
	w.ev.fresh = w.req.Fresh
}

// openLayers is steps 5 and 6.
func (o *Opener) openLayers(dst []byte, w *opening) *Refusal {
	w.fresh = w.env.fresh(w.fresh[:0])
	var plain []byte
	switch w.env.tag {
	case cose.TagEncrypt0:
		out, r := o.openEncrypt0(dst, w)
		if r != nil {
			return r
		}
		plain = out[len(dst):]
	case cose.TagEncrypt:
		w.aad = appendPubAAD(w.aad[:0], w.kind, w.d.Topic, w.sender)
		out, err := w.env.enc.Open(dst, w.slot, w.rec.Key, w.aad)
		if err != nil {
			return refuseCOSE(err)
		}
		plain = out[len(dst):]
	case cose.TagMac0:
		w.aad = appendSrcAAD(w.aad[:0], w.kind, w.d.Topic, w.sender, w.fresh, nil)
		key := w.rec.Key.SymmetricBytes()
		defer clear(key)
		if err := w.env.mac.Verify(key, w.aad); err != nil {
			return refuseCOSE(err)
		}
		w.res.Payload = w.env.mac.Payload
		return nil
	case cose.TagSign1:
		w.signer = w.rec
		w.aad = appendSrcAAD(w.aad[:0], w.kind, w.d.Topic, w.sender, w.fresh, nil)
		if err := w.env.sign.Verify(w.rec.Key, w.aad); err != nil {
			return refuseCOSE(err)
		}
		w.res.Payload = w.env.sign.Payload
		return nil
	}
	if !w.env.nested() {
		w.res.Payload = plain
		return nil
	}
	return o.openInner(plain, w)
}

func (o *Opener) openEncrypt0(dst []byte, w *opening) ([]byte, *Refusal) {
	u := &w.env.headers.Unprotected
	w.aad = appendPubAAD(w.aad[:0], w.kind, w.d.Topic, w.sender)
	if !w.env.modeS() {
		aead, err := w.rec.Key.AEAD(w.rec.Alg)
		if err != nil {
			return nil, refuse(ReasonRecord, "%v", err)
		}
		out, err := w.env.enc0.Open(dst, aead, u.IV, w.aad)
		if err != nil {
			return nil, refuseCOSE(err)
		}
		return out, nil
	}
	if r := o.findSession(w); r != nil {
		return nil, r
	}
	w.session.nonce(&w.nonce, u.PartialIV)
	out, err := w.env.enc0.Open(dst, w.session.aead, w.nonce[:], w.aad)
	if err != nil {
		return nil, refuseCOSE(err)
	}
	return out, nil
}

// findSession sets the derived keys of a mode S message, from the cache or new.
func (o *Opener) findSession(w *opening) *Refusal {
	w.key = appendSessionName(w.key[:0], w.rec.KID, w.sender, w.env.headers.Unprotected.KIDContext)
	o.mu.Lock()
	w.session = o.sessions[string(w.key)]
	o.mu.Unlock()
	if w.session != nil {
		return nil
	}
	var err error
	if w.session, err = deriveSession(w.rec, w.sender, w.env.headers.Unprotected.KIDContext); err != nil {
		return refuse(ReasonRecord, "%v", err)
	}
	w.isNew = true
	return nil
}

// appendSessionName appends a prefix-free name of a derived session.
func appendSessionName(dst, kid, sender, kidContext []byte) []byte {
	dst = append(dst, byte(len(kid)), byte(len(kidContext)))
	return append(append(append(dst, kid...), kidContext...), sender...)
}

// remember caches the keys of a session whose message has verified.
func (o *Opener) remember(w *opening) {
	if !w.isNew {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.sessions) >= maxSessions {
		for name := range o.sessions { // any entry: a lost one is derived again
			delete(o.sessions, name)
			break
		}
	}
	o.sessions[string(w.key)] = w.session
}

// openInner opens the Sign1 inside an encryption and applies the signer rule.
func (o *Opener) openInner(plain []byte, w *opening) *Refusal {
	if err := w.inner.Parse(plain); err != nil {
		return refuse(ReasonMalformed, "inner layer: %v", err)
	}
	if r := checkInner(&w.inner); r != nil {
		return r
	}
	p := &w.inner.Protected
	signer := o.cfg.Keys.Lookup(p.KID)
	if signer == nil || !signer.Opens() {
		return refuse(ReasonUnknownKey, "signer %x", p.KID)
	}
	if signer.Use != keyring.UseSign || signer.Alg != p.Alg {
		return refuse(ReasonRecord, "signer %x: %v is not the record's use and algorithm", p.KID, p.Alg)
	}
	sender := signer.Sender.ID
	if w.kind == KindRedistribution {
		sender = w.sender
	}
	w.aad = appendSrcAAD(w.aad[:0], w.kind, w.d.Topic, sender, w.fresh, w.audience())
	if err := w.inner.Verify(signer.Key, w.aad); err != nil {
		return refuseCOSE(err)
	}
	w.signer, w.claims = signer, &w.inner.Protected.Claims
	w.res.Payload = w.inner.Payload
	if r := w.checkSigner(signer); r != nil {
		return r
	}
	if w.owner == nil {
		w.owner = signer
		return w.checkOrder(signer, false)
	}
	return nil
}

// audience returns aud of the inner layer: what the outer one is made for.
func (w *opening) audience() []byte {
	if w.env.tag == cose.TagEncrypt0 || len(w.env.enc.Recipients) == 1 {
		tp := w.rec.Thumbprint()
		return tp[:]
	}
	prints := make([][]byte, len(w.env.enc.Recipients))
	for i := range prints {
		prints[i] = w.env.enc.Recipients[i].Unprotected.KID
	}
	slices.SortFunc(prints, bytes.Compare)
	return audience(prints)
}

// checkSigner is step 6: may this signer speak for this sender, on this topic.
func (w *opening) checkSigner(signer *keyring.Record) *Refusal {
	if !signer.Allows(w.d.Topic) {
		return refuse(ReasonSigner, "signer %x is not for topic %q", signer.KID, w.d.Topic)
	}
	if w.kind == KindRedistribution {
		if !signer.Broker {
			return refuse(ReasonSigner, "signer %x is not a broker", signer.KID)
		}
		return nil
	}
	switch w.rec.Sender.Kind {
	case keyring.SenderWire, keyring.SenderFixed:
		if !bytes.Equal(signer.Sender.ID, w.sender) {
			return refuse(ReasonSigner, "signer %x is not the sender", signer.KID)
		}
	case keyring.SenderClientID:
		if signer.ClientID != "" && signer.ClientID != w.d.ClientID {
			return refuse(ReasonSigner, "signer %x belongs to another client", signer.KID)
		}
	}
	return nil
}
