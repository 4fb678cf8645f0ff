package protect

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/cbor"
	"github.com/sealmq/sealmq/keyring"
)

// credentialWindow is how far an iat may be from the verifier's clock, seconds.
const credentialWindow = 120

// Bounds of a Marks: its (kid, Client Identifier) pairs, and those of one P2 or P3 key, so that whoever has one device's
// key cannot take the room of all others by changing its Client Identifier.
const (
	maxMarks       = 1 << 20
	maxMarksPerKey = 1 << 14
)

// Marks holds the high-water mark of the credentials of each (kid, Client
// Identifier). It is safe for concurrent use. Several brokers that serve the
// same clients must share it, or have different server names.
type Marks struct {
	store StateStore // nil: marks are lost at a restart

	mu    sync.Mutex // guards all below; held during Save, see Replay.mu
	marks map[string]uint64
	byKey map[string]int // marks of each kid
}

// NewMarks returns no marks, or those kept in store.
func NewMarks(store StateStore) (*Marks, error) {
	m := &Marks{store: store, marks: map[string]uint64{}, byKey: map[string]int{}}
	if store == nil {
		return m, nil
	}
	err := store.Load(func(key, value []byte) error {
		domain, kid, _, err := readStateKey(key)
		if err != nil || domain != domainMark {
			return err
		}
		r := cbor.NewReader(value)
		n, err := r.Uint()
		if err != nil || r.Done() != nil {
			return errState
		}
		m.marks[string(key)] = n
		m.byKey[kid]++
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load credential marks: %w", err)
	}
	return m, nil
}

// above reports whether n is higher than the mark of key.
func (m *Marks) above(key []byte, n uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, known := m.marks[string(key)]
	return !known || n > last
}

// raise moves the mark, durably, if n is still above it.
func (m *Marks) raise(key []byte, rec *keyring.Record, n uint64) *Refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, known := m.marks[string(key)]
	kid := string(rec.KID)
	switch {
	case known && n <= last:
		return refuse(ReasonStale, "credential number was used")
	case !known && len(m.marks) >= maxMarks:
		return refuse(ReasonLimit, "%d credential marks", len(m.marks))
	case !known && rec.Use != keyring.UseP1 && m.byKey[kid] >= maxMarksPerKey:
		return refuse(ReasonLimit, "kid %x has %d credential marks: bind it to a client", rec.KID, m.byKey[kid])
	}
	if m.store != nil {
		if err := m.store.Save(key, cbor.AppendUint(nil, n)); err != nil {
			return refuse(ReasonState, "%v", err)
		}
	}
	m.marks[string(key)] = n
	if !known {
		m.byKey[kid]++
	}
	return nil
}

// Verifier verifies CONNECT credentials. It is safe for concurrent use.
type Verifier struct {
	Keys  *keyring.Ring
	Marks *Marks
	Clock Clock // nil accepts only clockless credentials without iat
}

// Credential is a credential whose cryptography, binding and time hold.
type Credential struct {
	Record *keyring.Record
	// Password is what P1 carried: it still has to be checked. Empty for the
	// other forms.
	Password keyring.Secret

	marks  *Marks
	key    []byte
	number uint64
}

// Accept makes the credential unusable for another attempt, durably. Call it
// after the password of P1 has been checked and before CONNACK; if it fails
// the client is not connected.
func (c *Credential) Accept() error {
	if r := c.marks.raise(c.key, c.Record, c.number); r != nil {
		return r
	}
	return nil
}

// IsCredential reports whether a Password has the form of a credential: one of the three tags, an array of four and a
// protected header that holds a map. Whether it is one is for Verify to say. What people type does not begin so: the
// bytes are not UTF-8 but in inputs that are made to be, which then fail as credentials.
func IsCredential(password []byte) bool {
	if tag := cose.TagOf(password); tag == 0 || tag == cose.TagEncrypt0 {
		return false
	}
	r := cbor.NewReader(password)
	if _, err := r.Tag(); err != nil {
		return false
	}
	if n, err := r.Array(); err != nil || n != 4 {
		return false
	}
	protected, err := r.Bytes()
	if err != nil {
		return false
	}
	inner := cbor.NewReader(protected)
	pairs, err := inner.Map()
	return err == nil && pairs > 0
}

// Verify checks the Password field of a CONNECT, cheap checks first. The error
// is a *Refusal. Nothing is stored until Accept.
func (v *Verifier) Verify(password []byte, c *Connect) (*Credential, error) {
	var e envelope
	if r := e.parseCredential(password); r != nil {
		return nil, r
	}
	p := &e.headers.Protected
	kid := p.KID
	if e.tag == cose.TagEncrypt {
		kid = e.enc.Recipients[0].Unprotected.KID
	}
	rec := v.Keys.Lookup(kid)
	if rec == nil || !rec.Opens() {
		return nil, refuse(ReasonUnknownKey, "kid %x", kid)
	}
	if !e.fits(rec) {
		return nil, refuse(ReasonRecord, "kid %x: not the record's use and algorithm", kid)
	}
	if r := c.check(rec); r != nil {
		return nil, r
	}
	if r := v.checkTime(rec, &p.Claims); r != nil {
		return nil, r
	}
	cred := &Credential{
		Record: rec, marks: v.Marks, number: binary.BigEndian.Uint64(p.Claims.CTI),
		key: stateKey(domainMark, string(rec.KID), c.ClientID),
	}
	if !v.Marks.above(cred.key, cred.number) {
		return nil, refuse(ReasonStale, "credential number was used")
	}
	var r *Refusal
	if cred.Password, r = e.openCredential(rec, appendConnAAD(nil, c, rec.Binding)); r != nil {
		return nil, r
	}
	return cred, nil
}

// parseCredential accepts the three shapes and nothing else: no label 3, 10 or
// -65537, no exp, no tag 55799.
func (e *envelope) parseCredential(b []byte) *Refusal {
	e.tag = cose.TagOf(b)
	var err error
	must := cose.HasAlg | cose.HasKID | cose.HasClaims
	var unprotected cose.Labels
	shape := true
	switch e.tag {
	case cose.TagEncrypt:
		err = e.enc.Parse(b)
		e.headers = &e.enc.Headers
		must, unprotected = cose.HasAlg|cose.HasClaims, cose.HasIV
		shape = err == nil && len(e.enc.Recipients) == 1 && len(e.enc.Unprotected.IV) == nonceSize && checkRecipients(&e.enc) == nil
	case cose.TagMac0:
		err = e.mac.Parse(b)
		e.headers = &e.mac.Headers
		shape = len(e.mac.Payload) == clientNonce && len(e.mac.Tag) == macTagSize
	case cose.TagSign1:
		err = e.sign.Parse(b)
		e.headers = &e.sign.Headers
		shape = len(e.sign.Payload) == clientNonce && len(e.sign.Signature) == sigSize
	default:
		return refuse(ReasonMalformed, "no tag of a credential")
	}
	if err != nil {
		return refuse(ReasonMalformed, "%v", err)
	}
	p := &e.headers.Protected
	if !shape || p.Labels != must || e.headers.Unprotected.Labels != unprotected || p.Claims.HasExp || len(p.Claims.CTI) != credentialCTI {
		return refuse(ReasonMalformed, "not the shape of a credential")
	}
	return nil
}

// fits compares a credential with its record.
func (e *envelope) fits(rec *keyring.Record) bool {
	alg := e.headers.Protected.Alg
	switch e.tag {
	case cose.TagEncrypt:
		return rec.Use == keyring.UseP1 && rec.ContentAlg == alg && rec.Alg == e.enc.Recipients[0].Protected.Alg && rec.Key.Private()
	case cose.TagMac0:
		return rec.Use == keyring.UseP2 && rec.Alg == alg
	}
	return rec.Use == keyring.UseP3 && rec.Alg == alg
}

func (v *Verifier) checkTime(rec *keyring.Record, c *cose.Claims) *Refusal {
	switch {
	case !c.HasIAT && rec.Clockless:
		return nil
	case !c.HasIAT:
		return refuse(ReasonTime, "kid %x: credential without iat", rec.KID)
	case v.Clock == nil:
		return refuse(ReasonTime, "no clock to judge the credential by")
	}
	now := uint64(max(v.Clock().Unix(), 0))
	if max(now, c.IAT)-min(now, c.IAT) > credentialWindow {
		return refuse(ReasonTime, "credential is more than %d s away", credentialWindow)
	}
	return nil
}

func (e *envelope) openCredential(rec *keyring.Record, aad []byte) (keyring.Secret, *Refusal) {
	var none keyring.Secret
	switch e.tag {
	case cose.TagEncrypt:
		plain, err := e.enc.Open(nil, 0, rec.Key, aad)
		if err != nil {
			return none, refuseCOSE(err)
		}
		defer clear(plain)
		return readPasswordMap(plain)
	case cose.TagMac0:
		key, err := macKey(rec)
		if err != nil {
			return none, refuse(ReasonRecord, "%v", err)
		}
		defer clear(key)
		if err := e.mac.Verify(key, aad); err != nil {
			return none, refuseCOSE(err)
		}
		return none, nil
	}
	if err := e.sign.Verify(rec.Key, aad); err != nil {
		return none, refuseCOSE(err)
	}
	return none, nil
}
