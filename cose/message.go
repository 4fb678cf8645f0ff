package cose

import (
	"bytes"
	"sync"

	"github.com/sealmq/sealmq/internal/cbor"
)

// CBOR tags of the structures, RFC 9052 §2.
const (
	TagEncrypt0 = 16
	TagMac0     = 17
	TagSign1    = 18
	TagEncrypt  = 96
)

// MaxRecipients bounds the recipients of a COSE_Encrypt.
const MaxRecipients = 16

// selfDescribed is the encoding of tag 55799, RFC 8949 §3.4.6.
var selfDescribed = []byte{0xd9, 0xd9, 0xf7}

// TrimSelfDescribed removes one leading tag 55799, if there is one.
func TrimSelfDescribed(b []byte) []byte { return bytes.TrimPrefix(b, selfDescribed) }

// TagOf returns the tag b starts with, or 0 if it does not start with the tag
// of a structure this package reads.
func TagOf(b []byte) uint64 {
	r := cbor.NewReader(b)
	tag, err := r.Tag()
	if err != nil {
		return 0
	}
	switch tag {
	case TagEncrypt0, TagMac0, TagSign1, TagEncrypt:
		return tag
	}
	return 0
}

// open reads the tag, the array head and the two buckets.
func (h *Headers) open(r *cbor.Reader, tag uint64, items int) error {
	got, err := r.Tag()
	if err != nil {
		return err
	}
	if got != tag {
		return malformed("another tag")
	}
	n, err := r.Array()
	if err != nil {
		return err
	}
	if n != items {
		return malformed("wrong number of elements")
	}
	return h.parse(r)
}

// scratch holds the short-lived encodings of one operation, so that sealing
// and opening allocate nothing but the result.
type scratch struct {
	protected   []byte
	unprotected []byte
	structure   []byte
}

// maxScratch is the size above which a buffer is left to the collector.
const maxScratch = 64 << 10

var scratchPool = sync.Pool{New: func() any {
	return &scratch{protected: make([]byte, 0, 256), unprotected: make([]byte, 0, 256), structure: make([]byte, 0, 512)}
}}

func getScratch() *scratch { return scratchPool.Get().(*scratch) }

// append writes the buckets that encode has left in s.
func (s *scratch) append(dst []byte) []byte {
	return append(cbor.AppendBytes(dst, s.protected), s.unprotected...)
}

// release returns s to the pool. A MAC or signature structure holds the
// payload, so it is cleared.
func (s *scratch) release() {
	clear(s.structure)
	if cap(s.structure) > maxScratch {
		s.structure = make([]byte, 0, 512)
	}
	s.protected, s.unprotected, s.structure = s.protected[:0], s.unprotected[:0], s.structure[:0]
	scratchPool.Put(s)
}
