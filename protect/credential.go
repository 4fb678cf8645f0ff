package protect

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"unicode/utf8"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/internal/cbor"
	"github.com/sealmq/sealmq/keyring"
)

// Sizes of credentials.
const (
	credentialCTI = 8     // bytes, one big endian number
	clientNonce   = 16    // rnd-c, the payload of P2 and P3
	maxPassword   = 65535 // of the Password field, and of a password inside P1
	paddedBlock   = 16    // P1 plaintexts are a multiple of it
)

// Connect is what a credential is bound to.
type Connect struct {
	Level       byte   // Protocol Level without bit 7: 3, 4 or 5
	ClientID    string // as sent; never empty
	HasUsername bool   // the User Name Flag
	Username    string // as sent
	Server      string // configured on both sides, not from the wire
	HasBinding  bool   // Binding is set
	Binding     [sha256.Size]byte
}

// ConnectBinding returns cb for a complete CONNECT packet: SHA-256 from the
// first byte of the variable header up to, not including, the two length bytes
// of the Password, its last field. passwordLen is the length of the Password,
// which may still be a placeholder. ok is false if the packet does not end so.
func ConnectBinding(packet []byte, passwordLen int) (cb [sha256.Size]byte, ok bool) {
	header := 1
	for header < len(packet) && header < 5 && packet[header]&0x80 != 0 {
		header++
	}
	header++
	end := len(packet) - passwordLen - 2
	if passwordLen < 0 || passwordLen > maxPassword || end < header ||
		int(binary.BigEndian.Uint16(packet[end:])) != passwordLen {
		return cb, false
	}
	return sha256.Sum256(packet[header:end]), true
}

func (c *Connect) check(rec *keyring.Record) *Refusal {
	switch {
	case c.Level < 3 || c.Level > 5:
		return refuse(ReasonRecord, "protocol level %d", c.Level)
	case c.ClientID == "":
		return refuse(ReasonSender, "empty Client Identifier")
	case !utf8.ValidString(c.ClientID) || !utf8.ValidString(c.Username) || !utf8.ValidString(c.Server):
		return refuse(ReasonSender, "not UTF-8")
	case rec.ClientID != "" && rec.ClientID != c.ClientID:
		return refuse(ReasonSender, "kid %x belongs to another client", rec.KID)
	case rec.Binding && !c.HasBinding:
		return refuse(ReasonRecord, "kid %x covers the CONNECT bytes and they are not known", rec.KID)
	}
	return nil
}

// CredentialConfig says how a client proves itself.
type CredentialConfig struct {
	// Record is an active p1 (the broker's public key), p2 or p3 record.
	Record *keyring.Record
	// Number is higher in each attempt than in all before under this kid and
	// Client Identifier: a persistent counter, or milliseconds since 1970.
	Number uint64
	// Clock stamps the credential; clockless records may leave it nil.
	Clock Clock
	// Password is sealed into P1; the other forms have none.
	Password keyring.Secret
	Random   io.Reader // for test vectors; nil means crypto/rand
}

// SealCredential returns the Password field of a CONNECT:
//
//	P1  encm, one recipient   {1: 1/3, 15: c}          password, padded
//	P2  mac0 under K_mac      {1: 5, 4: kid, 15: c}    rnd-c, 16 random bytes
//	P3  sign1                 {1: -7/-8, 4: kid, 15: c} rnd-c, 16 random bytes
//	c = { ? 6: iat, 7: bstr .size 8 }
func SealCredential(cfg CredentialConfig, c *Connect) ([]byte, error) {
	rec, random := cfg.Record, cfg.Random
	if random == nil {
		random = rand.Reader
	}
	if err := rec.Validate(); err != nil {
		return nil, sealError("%w", err)
	}
	if !rec.Seals() {
		return nil, sealError("kid %x is %v", rec.KID, rec.State)
	}
	if r := c.check(rec); r != nil {
		return nil, sealError("%s", r.Detail)
	}
	if cfg.Clock == nil && !rec.Clockless {
		return nil, sealError("kid %x: a clock is needed", rec.KID)
	}
	claims := cose.Claims{CTI: binary.BigEndian.AppendUint64(nil, cfg.Number)}
	if cfg.Clock != nil {
		claims.HasIAT, claims.IAT = true, uint64(max(cfg.Clock().Unix(), 0))
	}
	h := cose.Header{Labels: cose.HasAlg | cose.HasKID | cose.HasClaims, Alg: rec.Alg, KID: rec.KID, Claims: claims}
	aad := appendConnAAD(nil, c, rec.Binding)
	if rec.Use == keyring.UseP1 {
		return sealP1(&cfg, random, h, aad)
	}
	nonce := make([]byte, clientNonce)
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, sealError("nonce: %w", err)
	}
	switch rec.Use {
	case keyring.UseP2:
		key, err := macKey(rec)
		if err != nil {
			return nil, sealError("%w", err)
		}
		defer clear(key)
		m := cose.Mac0{Headers: cose.Headers{Protected: h}, Payload: nonce}
		return result(m.Append(nil, key, aad))
	case keyring.UseP3:
		m := cose.Sign1{Headers: cose.Headers{Protected: h}, Payload: nonce}
		return result(m.Append(nil, rec.Key, aad))
	}
	return nil, sealError("kid %x has use %v", rec.KID, rec.Use)
}

// macKey returns K_mac = L("p2-mac", 32); the caller clears it.
func macKey(rec *keyring.Record) ([]byte, error) {
	derived, err := keyring.Derive(rec.Key, keyring.LabelP2MAC, rec.KID, cose.AlgHMAC256.KeySize())
	defer derived.Destroy()
	return derived.Reveal(), err
}

func sealP1(cfg *CredentialConfig, random io.Reader, h cose.Header, aad []byte) ([]byte, error) {
	if cfg.Password.Len() > maxPassword {
		return nil, sealError("password of %d bytes", cfg.Password.Len())
	}
	h.Labels &^= cose.HasKID
	h.Alg = cfg.Record.ContentAlg
	iv := make([]byte, nonceSize)
	if _, err := io.ReadFull(random, iv); err != nil {
		return nil, sealError("IV: %w", err)
	}
	plain := appendPasswordMap(nil, cfg.Password)
	defer clear(plain)
	m := cose.Encrypt{Headers: cose.Headers{Protected: h, Unprotected: cose.Header{Labels: cose.HasIV, IV: iv}}}
	to := []cose.RecipientKey{{Alg: cfg.Record.Alg, KID: cfg.Record.KID, Key: cfg.Record.Key}}
	out, err := result(m.Seal(nil, random, to, plain, aad))
	if err == nil && len(out) > maxPassword {
		return nil, sealError("credential of %d bytes", len(out))
	}
	return out, err
}

// Keys of the plaintext of P1.
const (
	passwordKey = 1
	reservedKey = 2
	paddingKey  = 3
)

// appendPasswordMap appends the plaintext of P1, so that its length tells
// little about the password's:
//
//	{ 1: bstr, ? 2: bstr .size 32, 3: bstr }   ; password, reserved, zero bytes
func appendPasswordMap(dst []byte, password keyring.Secret) []byte {
	word := password.Reveal()
	defer clear(word)
	start := len(dst)
	dst = cbor.AppendMap(dst, 2)
	dst = cbor.AppendBytes(cbor.AppendUint(dst, passwordKey), word)
	dst = cbor.AppendUint(dst, paddingKey)
	pad := (paddedBlock - (len(dst)-start+1)%paddedBlock) % paddedBlock // below 24: one byte of head
	return cbor.AppendBytes(dst, make([]byte, pad))
}

// readPasswordMap is the strict inverse; the padding's content is ignored and
// so is the reserved value, except for its size.
func readPasswordMap(b []byte) (keyring.Secret, *Refusal) {
	bad := func() (keyring.Secret, *Refusal) { return keyring.Secret{}, refuse(ReasonMalformed, "content of P1") }
	r := cbor.NewReader(b)
	pairs, err := r.Map()
	if err != nil {
		return bad()
	}
	var fields [paddingKey + 1][]byte
	for range pairs {
		key, err := r.Uint()
		if err != nil || key < passwordKey || key > paddingKey || fields[key] != nil {
			return bad()
		}
		if fields[key], err = r.Bytes(); err != nil {
			return bad()
		}
	}
	if r.Done() != nil || fields[passwordKey] == nil || (fields[reservedKey] != nil && len(fields[reservedKey]) != 32) {
		return bad()
	}
	return keyring.NewSecret(fields[passwordKey]), nil
}
