package cose

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/sealmq/sealmq/internal/cbor"
)

// appendKDFContext appends the context of a key agreement, RFC 9053 §5.2, with
// both parties empty and neither SuppPubInfo.other nor SuppPrivInfo:
//
//	COSE_KDF_Context = [
//	    AlgorithmID : int / tstr,
//	    PartyUInfo  : [ null, null, null ],
//	    PartyVInfo  : [ null, null, null ],
//	    SuppPubInfo : [ keyDataLength : uint, protected : empty_or_serialized_map ]
//	]
//
// keyDataLength is in bits; protected is the recipient's protected header.
func appendKDFContext(dst []byte, alg Algorithm, protected []byte) []byte {
	dst = cbor.AppendArray(dst, 4)
	dst = cbor.AppendInt(dst, int64(alg))
	for range 2 {
		dst = cbor.AppendArray(dst, 3)
		for range 3 {
			dst = cbor.AppendNull(dst)
		}
	}
	dst = cbor.AppendArray(dst, 2)
	dst = cbor.AppendUint(dst, uint64(8*alg.KeySize()))
	return cbor.AppendBytes(dst, protected)
}

// keyEncryptionKey derives the key encryption key of one recipient from the
// x coordinate of the ECDH result, RFC 9053 §6.4 with HKDF-SHA-256, no salt.
func keyEncryptionKey(secret []byte, alg Algorithm, protected []byte) ([]byte, error) {
	wrap := algA128KW
	if alg == AlgECDHESA256KW {
		wrap = algA256KW
	}
	info := appendKDFContext(make([]byte, 0, 64), wrap, protected)
	kek, err := hkdf.Key(sha256.New, secret, nil, string(info), wrap.KeySize())
	if err != nil {
		return nil, fmt.Errorf("derive key encryption key: %w", err)
	}
	return kek, nil
}
