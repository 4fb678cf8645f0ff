package protect

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/keyring"
)

// sequence is the one sequence of a message, from its outermost layer.
type sequence struct {
	ordered   bool
	boot, seq uint32
	salt      [saltSize]byte     // mode S; zero elsewhere
	cti       [unorderedCTI]byte // if not ordered
}

// sequence reads the sequence of a checked envelope and refuses a message with
// none, or with two:
//
//	mode S     kid context and Partial IV, no cti
//	others     cti in the outermost layer
func (e *envelope) sequence() (s sequence, r *Refusal) {
	p, u := &e.headers.Protected, &e.headers.Unprotected
	cti := p.Claims.CTI
	if e.modeS() {
		if cti != nil {
			return s, refuse(ReasonMalformed, "cti in mode S")
		}
		tail := u.KIDContext[len(u.KIDContext)-sessionSize:]
		s.ordered = true
		s.boot = binary.BigEndian.Uint32(tail)
		s.salt = [saltSize]byte(tail[bootSize:])
		for _, b := range u.PartialIV {
			s.seq = s.seq<<8 | uint32(b)
		}
		return s, nil
	}
	switch len(cti) {
	case orderedCTI:
		s.ordered = true
		s.boot, s.seq = binary.BigEndian.Uint32(cti), binary.BigEndian.Uint32(cti[4:])
	case unorderedCTI:
		s.cti = [unorderedCTI]byte(cti)
	default:
		return s, refuse(ReasonMalformed, "no cti")
	}
	return s, nil
}

func (e *envelope) modeS() bool { return e.headers.Unprotected.Has(cose.HasPartialIV) }

// fresh appends what a signature or MAC repeats of the sequence: mode S, kid
// context || Partial IV as on the wire; otherwise the outermost cti.
func (e *envelope) fresh(dst []byte) []byte {
	if e.modeS() {
		dst = append(dst, e.headers.Unprotected.KIDContext...)
		return append(dst, e.headers.Unprotected.PartialIV...)
	}
	return append(dst, e.headers.Protected.Claims.CTI...)
}

// Session is one run of a sender: a boot number, a random salt, and the counter
// of everything sealed under them, from 1. All sealers of a sender may share
// one. It is safe for concurrent use. A process that may be cloned with its
// memory (a virtual machine with snapshots) must not use mode S.
type Session struct {
	boot uint32
	salt [saltSize]byte

	mu   sync.Mutex // guards last
	last uint32
}

// OpenSession starts a session with the next boot number of a persistent
// counter, which is stored before this returns.
func OpenSession(boot *keyring.Counter) (*Session, error) {
	n, err := boot.Reserve(1)
	if err != nil {
		return nil, sealError("boot counter: %w", err)
	}
	if n > math.MaxUint32 {
		return nil, sealError("boot number %d: %w", n, keyring.ErrExhausted)
	}
	return NewSession(uint32(n), nil)
}

// NewSession starts a session with a boot number the caller has stored already
// and never uses again. boot 0 is for clockless records only. random is the
// source of the salt; nil means crypto/rand.
func NewSession(boot uint32, random io.Reader) (*Session, error) {
	if random == nil {
		random = rand.Reader
	}
	s := &Session{boot: boot}
	if _, err := io.ReadFull(random, s.salt[:]); err != nil {
		return nil, sealError("session salt: %w", err)
	}
	return s, nil
}

// Boot returns the boot number.
func (s *Session) Boot() uint32 { return s.boot }

// Used returns how many of its 2^32-1 messages the session has sealed. A process that runs on for long replaces its session
// before the end, by one with a higher boot number.
func (s *Session) Used() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// next returns the next sequence number; after 2^32-1 a new session is needed,
// with a higher boot.
func (s *Session) next() (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == math.MaxUint32 {
		return 0, fmt.Errorf("session has sealed 2^32-1 messages: %w", keyring.ErrExhausted)
	}
	s.last++
	return s.last, nil
}
