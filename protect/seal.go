package protect

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
)

// Limiter ends the use of a key; *keyring.Budget is one.
type Limiter interface {
	// Take uses one message, or fails for good.
	Take() error
}

// SealerConfig describes what a Sealer makes. Exactly one of Key and Recipients
// is set.
type SealerConfig struct {
	// Key is an active R, S, mac or sign record.
	Key *keyring.Record
	// Recipients are 1 to 16 active enc records.
	Recipients []*keyring.Record
	// Signer is an active sign record whose signature goes inside the
	// encryption; nil leaves it out.
	Signer *keyring.Record
	// Sender is the id on the wire, for records that carry one.
	Sender []byte
	// ClientID is the Client Identifier of the connection, for client-id
	// records.
	ClientID string
	// Session numbers the messages. Without one they are unordered, which the
	// record must allow. Mode S needs one.
	Session *Session
	// Clock stamps messages; unordered ones and redistribution need it.
	Clock Clock
	// Timestamp stamps ordered messages too; records with a max-age imply it.
	Timestamp bool
	// Limit counts the messages; nil counts nothing.
	Limit Limiter
	// Random is for test vectors; nil means crypto/rand.
	Random io.Reader
}

// Message is what a Sealer seals.
type Message struct {
	Topic   string // Topic Name or Will Topic
	Payload []byte // empty is a tombstone
	Will    bool   // the payload is a Will
	// ContentType is a CoAP Content-Format; sent if HasContentType.
	ContentType    uint16
	HasContentType bool
	Expires        time.Time // zero: never
	// IssuedAt replaces the clock: a message sealed again keeps its first time.
	IssuedAt time.Time
	// Origin is the original publisher, 0..64 bytes; redistribution only.
	Origin []byte
}

// Sealer seals messages of one sender in one form. It is safe for concurrent
// use.
type Sealer struct {
	cfg      SealerConfig
	random   io.Reader
	outer    *keyring.Record // Key, or the first recipient
	owner    *keyring.Record // of replay and time rules
	ordered  bool
	audience []byte // aud of a nested signature
	to       []cose.RecipientKey

	mu       sync.Mutex // guards sessions
	sessions map[string]*derived
}

// NewSealer checks that the parts fit together. Its errors wrap ErrSeal. A
// Sealer keeps the records it was given: after a rotation make a new one.
func NewSealer(cfg SealerConfig) (*Sealer, error) {
	s := &Sealer{cfg: cfg, random: cfg.Random, sessions: map[string]*derived{}}
	if s.random == nil {
		s.random = rand.Reader
	}
	if (cfg.Key == nil) == (len(cfg.Recipients) == 0) {
		return nil, sealError("exactly one of key and recipients is needed")
	}
	s.outer = cfg.Key
	if s.outer == nil {
		s.outer = cfg.Recipients[0]
	}
	for _, check := range []func() error{s.checkRecords, s.checkSigner, s.checkSender, s.checkOrder} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Sealer) checkRecords() error {
	for _, rec := range append([]*keyring.Record{s.outer}, s.cfg.Recipients...) {
		if err := rec.Validate(); err != nil {
			return sealError("%w", err)
		}
		if !rec.Seals() {
			return sealError("kid %x is %v: %w", rec.KID, rec.State, keyring.ErrState)
		}
	}
	if s.cfg.Key != nil {
		switch use := s.cfg.Key.Use; {
		case use != keyring.UseR && use != keyring.UseS && use != keyring.UseMAC && use != keyring.UseSign:
			return sealError("kid %x has use %v", s.cfg.Key.KID, use)
		case use == keyring.UseSign && !s.cfg.Key.Key.Private():
			return sealError("kid %x has no private key", s.cfg.Key.KID)
		}
		tp := s.cfg.Key.Thumbprint()
		s.audience = tp[:]
		return nil
	}
	return s.checkRecipients()
}

func (s *Sealer) checkRecipients() error {
	recs := s.cfg.Recipients
	if len(recs) > cose.MaxRecipients {
		return sealError("%d recipients", len(recs))
	}
	var prints [][]byte
	for _, rec := range recs {
		if rec.Use != keyring.UseEnc || rec.Alg != s.outer.Alg || rec.Sender.Kind != s.outer.Sender.Kind {
			return sealError("recipient %x does not fit the first", rec.KID)
		}
		tp := rec.Thumbprint()
		kid := rec.KID
		if len(recs) > 1 {
			kid = tp[:]
		}
		prints = append(prints, bytes.Clone(tp[:]))
		s.to = append(s.to, cose.RecipientKey{Alg: rec.Alg, KID: kid, Key: rec.Key})
	}
	slices.SortFunc(prints, bytes.Compare)
	if len(slices.CompactFunc(slices.Clone(prints), bytes.Equal)) != len(recs) {
		return sealError("recipient twice")
	}
	if len(recs) > 1 && s.outer.Sender.Kind == keyring.SenderClientID {
		return sealError("several recipients on the way to a broker")
	}
	s.audience = audience(prints)
	return nil
}

// checkSigner also finds the owner of the replay rules.
func (s *Sealer) checkSigner() error {
	signer := s.cfg.Signer
	s.owner = s.outer
	if signer == nil {
		return nil
	}
	if err := signer.Validate(); err != nil {
		return sealError("%w", err)
	}
	switch {
	case signer.Use != keyring.UseSign || !signer.Seals() || !signer.Key.Private():
		return sealError("signer %v cannot sign", signer)
	case s.cfg.Key != nil && s.cfg.Key.Use != keyring.UseR && s.cfg.Key.Use != keyring.UseS:
		return sealError("a signature goes inside an encryption only")
	case s.redistributes() && !signer.Broker:
		return sealError("signer %x is not a broker", signer.KID)
	}
	if s.cfg.Key == nil && s.outer.Sender.Kind != keyring.SenderClientID {
		s.owner = signer
	}
	return nil
}

func (s *Sealer) redistributes() bool { return s.outer.Sender.Kind == keyring.SenderRedistribution }

// checkSender checks the parts of the sender rule that do not change with the
// message, and that a signer may speak for it.
func (s *Sealer) checkSender() error {
	rule := &s.outer.Sender
	if rule.Kind != keyring.SenderWire && len(s.cfg.Sender) != 0 {
		return sealError("kid %x carries no configured sender id", s.outer.KID)
	}
	signer := s.cfg.Signer
	switch rule.Kind {
	case keyring.SenderWire:
		if len(s.cfg.Sender) != rule.Size {
			return sealError("sender id of %d bytes, kid %x carries %d", len(s.cfg.Sender), s.outer.KID, rule.Size)
		}
		if signer != nil && !bytes.Equal(signer.Sender.ID, s.cfg.Sender) {
			return sealError("signer %x is not the sender", signer.KID)
		}
	case keyring.SenderFixed:
		if signer != nil && !bytes.Equal(signer.Sender.ID, rule.ID) {
			return sealError("signer %x is not the sender", signer.KID)
		}
	case keyring.SenderClientID:
		if s.cfg.ClientID == "" || !utf8.ValidString(s.cfg.ClientID) {
			return sealError("kid %x needs a Client Identifier", s.outer.KID)
		}
		for _, rec := range []*keyring.Record{s.outer, signer} {
			if rec != nil && rec.ClientID != "" && rec.ClientID != s.cfg.ClientID {
				return sealError("kid %x belongs to another client", rec.KID)
			}
		}
	}
	return nil
}

func (s *Sealer) checkOrder() error {
	anonymous := s.owner.Sender.Kind == keyring.SenderAnonymous && s.owner.Use != keyring.UseSign
	s.ordered = s.cfg.Session != nil
	switch {
	case anonymous && s.ordered:
		return sealError("kid %x: an unknown sender has no order", s.owner.KID)
	case s.outer.Use == keyring.UseS && !s.ordered:
		return sealError("kid %x: mode S needs a session", s.outer.KID)
	case !s.ordered && !anonymous && !s.owner.Unordered:
		return sealError("kid %x does not allow unordered messages", s.owner.KID)
	case s.cfg.Clock == nil && (!s.ordered || s.redistributes()):
		return sealError("kid %x: a clock is needed", s.owner.KID)
	case s.ordered && s.cfg.Session.boot == 0 && (s.outer.Use != keyring.UseS || !s.outer.Clockless):
		return sealError("kid %x: boot 0 is for clockless mode S", s.outer.KID)
	}
	return nil
}

// sealing is the state of one Seal.
type sealing struct {
	m       *Message
	kind    Kind
	sender  []byte // of the outermost layer
	wire    []byte // what of it is sent
	outside cose.Header
	claims  cose.Claims // iat and exp
	fresh   []byte
	kidCtx  []byte
	piv     []byte
	cti     []byte
	aad     []byte
	nonce   [nonceSize]byte
}

var sealings = sync.Pool{New: func() any { return &sealing{aad: make([]byte, 0, 256)} }}

// release returns j without anything of the message but buffers to reuse.
func (j *sealing) release() {
	*j = sealing{fresh: j.fresh[:0], kidCtx: j.kidCtx[:0], piv: j.piv[:0], cti: j.cti[:0], aad: j.aad[:0]}
	sealings.Put(j)
}

// Seal appends the protected form of m to dst. Its errors wrap ErrSeal, and
// keyring.ErrExhausted if the key or the session has to change.
func (s *Sealer) Seal(dst []byte, m *Message) ([]byte, error) {
	j := sealings.Get().(*sealing)
	defer j.release()
	j.m = m
	if err := s.prepare(j); err != nil {
		return nil, err
	}
	if s.cfg.Limit != nil {
		if err := s.cfg.Limit.Take(); err != nil {
			return nil, sealError("kid %x: %w", s.outer.KID, err)
		}
	}
	if err := s.number(j); err != nil {
		return nil, err
	}
	payload, err := s.sign(j)
	if err != nil {
		return nil, err
	}
	switch s.outer.Use {
	case keyring.UseR:
		return s.sealR(dst, j, payload)
	case keyring.UseS:
		return s.sealS(dst, j, payload)
	case keyring.UseMAC:
		return s.mac(dst, j)
	case keyring.UseSign:
		return s.signAlone(dst, j)
	}
	return s.sealTo(dst, j, payload)
}

// prepare checks the message and fills everything but the sequence.
func (s *Sealer) prepare(j *sealing) error {
	m := j.m
	if m.Topic == "" || !utf8.ValidString(m.Topic) || !s.outer.Allows(m.Topic) || (s.cfg.Signer != nil && !s.cfg.Signer.Allows(m.Topic)) {
		return sealError("kid %x is not for topic %q", s.outer.KID, m.Topic)
	}
	encrypts := s.outer.Use != keyring.UseMAC && s.outer.Use != keyring.UseSign
	if m.HasContentType && m.ContentType == nestedContentType && encrypts && s.cfg.Signer == nil {
		return sealError("content type %d marks a nested signature", nestedContentType)
	}
	j.kind = KindPublish
	j.outside = cose.Header{Labels: cose.HasAlg | cose.HasKID, Alg: s.outer.Alg, KID: s.outer.KID}
	if m.Will {
		j.kind = KindWill
		j.outside.Labels |= cose.HasKind
		j.outside.Kind = int64(KindWill)
	}
	if err := s.setSender(j); err != nil {
		return err
	}
	if m.Will && !s.ordered {
		return sealError("a will needs an ordered sequence")
	}
	switch {
	case s.cfg.Signer != nil:
		j.outside.Labels |= cose.HasContentType
		j.outside.ContentType = nestedContentType
	case m.HasContentType:
		j.outside.Labels |= cose.HasContentType
		j.outside.ContentType = m.ContentType
	}
	return s.setTimes(j)
}

func (s *Sealer) setSender(j *sealing) error {
	rule := &s.outer.Sender
	if rule.Kind != keyring.SenderRedistribution && len(j.m.Origin) != 0 {
		return sealError("kid %x does not redistribute", s.outer.KID)
	}
	switch rule.Kind {
	case keyring.SenderWire:
		j.sender, j.wire = s.cfg.Sender, s.cfg.Sender
	case keyring.SenderFixed:
		j.sender = rule.ID
	case keyring.SenderClientID:
		j.sender = []byte(s.cfg.ClientID)
	case keyring.SenderRedistribution:
		if len(j.m.Origin) > maxWireSender {
			return sealError("origin of %d bytes", len(j.m.Origin))
		}
		if j.m.Will {
			return sealError("a redistributed message is not a will")
		}
		j.kind, j.sender, j.wire = KindRedistribution, j.m.Origin, j.m.Origin
	}
	return nil
}

func (s *Sealer) setTimes(j *sealing) error {
	set := func(t time.Time) (uint64, error) {
		if t.Unix() < 0 || t.Unix() >= 1<<53 {
			return 0, sealError("time %v", t)
		}
		return uint64(t.Unix()), nil
	}
	var err error
	if !j.m.Expires.IsZero() {
		j.claims.HasExp = true
		if j.claims.Exp, err = set(j.m.Expires); err != nil {
			return err
		}
	}
	issued := j.m.IssuedAt
	if issued.IsZero() && s.cfg.Clock != nil && (!s.ordered || s.cfg.Timestamp || s.owner.MaxAge != 0 || s.redistributes()) {
		issued = s.cfg.Clock()
	}
	if !issued.IsZero() {
		j.claims.HasIAT = true
		j.claims.IAT, err = set(issued)
	}
	return err
}

// number takes the next sequence and puts it where the form has it.
func (s *Sealer) number(j *sealing) error {
	var cti []byte // nil in mode S
	switch {
	case s.ordered:
		seq, err := s.cfg.Session.next()
		if err != nil {
			return sealError("%w", err)
		}
		if s.outer.Use == keyring.UseS {
			j.kidCtx = appendKIDContext(j.kidCtx, j.wire, s.cfg.Session.boot, s.cfg.Session.salt)
			j.piv = appendPartialIV(j.piv, seq)
			j.fresh = append(append(j.fresh, j.kidCtx...), j.piv...)
			break
		}
		j.cti = binary.BigEndian.AppendUint32(j.cti, s.cfg.Session.boot)
		j.cti = binary.BigEndian.AppendUint32(j.cti, seq)
		cti = j.cti
	default:
		j.cti = append(j.cti, make([]byte, unorderedCTI)...)
		if _, err := io.ReadFull(s.random, j.cti); err != nil {
			return sealError("cti: %w", err)
		}
		cti = j.cti
	}
	j.fresh = append(j.fresh, cti...)
	j.outside.Claims.CTI = cti
	if s.cfg.Signer == nil { // else iat and exp stand under the signature
		j.outside.Claims = cose.Claims{HasExp: j.claims.HasExp, Exp: j.claims.Exp, HasIAT: j.claims.HasIAT, IAT: j.claims.IAT, CTI: cti}
	}
	if !j.outside.Claims.IsZero() {
		j.outside.Labels |= cose.HasClaims
	}
	return nil
}

// sign returns the plaintext of the encryption: the payload, or the Sign1 around
// it.
func (s *Sealer) sign(j *sealing) ([]byte, error) {
	signer := s.cfg.Signer
	if signer == nil {
		return j.m.Payload, nil
	}
	sender := signer.Sender.ID
	if j.kind == KindRedistribution {
		sender = j.sender
	}
	m := cose.Sign1{Payload: j.m.Payload}
	m.Protected = cose.Header{Labels: cose.HasAlg | cose.HasKID, Alg: signer.Alg, KID: signer.KID, Claims: j.claims}
	if !j.claims.IsZero() {
		m.Protected.Labels |= cose.HasClaims
	}
	if j.m.HasContentType {
		m.Protected.Labels |= cose.HasContentType
		m.Protected.ContentType = j.m.ContentType
	}
	j.aad = appendSrcAAD(j.aad[:0], j.kind, j.m.Topic, sender, j.fresh, s.audience)
	out, err := m.Append(nil, signer.Key, j.aad)
	if err != nil {
		return nil, sealError("%w", err)
	}
	return out, nil
}

// wireSender is label 10 outside mode S.
func (j *sealing) wireSender(h *cose.Header) {
	if len(j.wire) > 0 {
		h.Labels |= cose.HasKIDContext
		h.KIDContext = j.wire
	}
}

// newIV draws the nonce of mode R or of a COSE_Encrypt.
func (s *Sealer) newIV(j *sealing) ([]byte, error) {
	if _, err := io.ReadFull(s.random, j.nonce[:]); err != nil {
		return nil, sealError("IV: %w", err)
	}
	return j.nonce[:], nil
}

// pubAAD is the external_aad of the encryption.
func (j *sealing) pubAAD() []byte {
	j.aad = appendPubAAD(j.aad[:0], j.kind, j.m.Topic, j.sender)
	return j.aad
}

// srcAAD is the external_aad of a MAC or signature that stands alone.
func (j *sealing) srcAAD() []byte {
	j.aad = appendSrcAAD(j.aad[:0], j.kind, j.m.Topic, j.sender, j.fresh, nil)
	return j.aad
}

func (s *Sealer) sealR(dst []byte, j *sealing, plain []byte) ([]byte, error) {
	aead, err := s.outer.Key.AEAD(s.outer.Alg)
	if err != nil {
		return nil, sealError("%w", err)
	}
	iv, err := s.newIV(j)
	if err != nil {
		return nil, err
	}
	m := cose.Encrypt0{Headers: cose.Headers{Protected: j.outside, Unprotected: cose.Header{Labels: cose.HasIV, IV: iv}}}
	j.wireSender(&m.Unprotected)
	return result(m.Seal(dst, aead, iv, plain, j.pubAAD()))
}

func (s *Sealer) sealS(dst []byte, j *sealing, plain []byte) ([]byte, error) {
	session, err := s.session(j)
	if err != nil {
		return nil, err
	}
	session.nonce(&j.nonce, j.piv)
	m := cose.Encrypt0{Headers: cose.Headers{Protected: j.outside, Unprotected: cose.Header{
		Labels: cose.HasPartialIV | cose.HasKIDContext, PartialIV: j.piv, KIDContext: j.kidCtx,
	}}}
	return result(m.Seal(dst, session.aead, j.nonce[:], plain, j.pubAAD()))
}

// session returns the derived keys for the sender of j. One counter covers all
// senders of a session, so a dropped entry may be derived again without ever
// repeating a nonce.
func (s *Sealer) session(j *sealing) (*derived, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.sessions[string(j.sender)]; d != nil {
		return d, nil
	}
	d, err := deriveSession(s.outer, j.sender, j.kidCtx)
	if err != nil {
		return nil, sealError("%w", err)
	}
	if len(s.sessions) >= maxSessions {
		clear(s.sessions)
	}
	s.sessions[string(j.sender)] = d
	return d, nil
}

func (s *Sealer) mac(dst []byte, j *sealing) ([]byte, error) {
	m := cose.Mac0{Headers: cose.Headers{Protected: j.outside}, Payload: j.m.Payload}
	j.wireSender(&m.Unprotected)
	key := s.outer.Key.SymmetricBytes()
	defer clear(key)
	return result(m.Append(dst, key, j.srcAAD()))
}

func (s *Sealer) signAlone(dst []byte, j *sealing) ([]byte, error) {
	m := cose.Sign1{Headers: cose.Headers{Protected: j.outside}, Payload: j.m.Payload}
	return result(m.Append(dst, s.outer.Key, j.srcAAD()))
}

func (s *Sealer) sealTo(dst []byte, j *sealing, plain []byte) ([]byte, error) {
	iv, err := s.newIV(j)
	if err != nil {
		return nil, err
	}
	m := cose.Encrypt{Headers: cose.Headers{Protected: j.outside, Unprotected: cose.Header{Labels: cose.HasIV, IV: iv}}}
	m.Protected.Labels &^= cose.HasKID
	m.Protected.Alg = s.outer.ContentAlg
	return result(m.Seal(dst, s.random, s.to, plain, j.pubAAD()))
}

func result(out []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, errors.Join(ErrSeal, err)
	}
	return out, nil
}

// Redistribute seals an opened message for the subscribers of a topic, kind 9,
// under this sealer's redistribution record. The first time it is stamped with
// the clock; a message that is sealed again, after a rotation, keeps that time
// and takes a new sequence.
func (s *Sealer) Redistribute(dst []byte, topic string, opened *Result) ([]byte, error) {
	if !s.redistributes() {
		return nil, sealError("kid %x does not redistribute", s.outer.KID)
	}
	m := &Message{
		Topic: topic, Payload: opened.Payload, Origin: opened.Sender,
		ContentType: opened.ContentType, HasContentType: opened.HasContentType,
	}
	if opened.HasExp {
		m.Expires = opened.Exp
	}
	if opened.Kind == KindRedistribution && opened.HasIAT {
		m.IssuedAt = opened.IAT
	}
	return s.Seal(dst, m)
}
