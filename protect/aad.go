package protect

import "github.com/sealmq/sealmq/internal/cbor"

// profile is the first element of every external_aad and, as a byte string, the
// SuppPrivInfo of mode S.
const profile = "MQTT1"

// Kind separates the purposes of a message in external_aad.
type Kind uint8

// Kinds of the profile. 10 below names a structure and is not a kind.
const (
	KindPublish        Kind = 1 // PUBLISH of a client
	KindWill           Kind = 2 // Will of a client
	kindConnect        Kind = 3 // CONNECT credential
	KindRedistribution Kind = 9 // sealed again by a broker
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case KindPublish:
		return "publish"
	case KindWill:
		return "will"
	case KindRedistribution:
		return "redistribution"
	}
	return "no kind"
}

// sourceStructure stands at position 2 of src-aad.
const sourceStructure = 10

// appendPubAAD appends the external_aad of Encrypt0 and Encrypt:
//
//	pub-aad = [ "MQTT1", kind, topic: tstr, sender: bstr ]
//	kind    = 1 / 2 / 9
func appendPubAAD(dst []byte, kind Kind, topic string, sender []byte) []byte {
	dst = cbor.AppendArray(dst, 4)
	dst = cbor.AppendText(dst, profile)
	dst = cbor.AppendUint(dst, uint64(kind))
	dst = cbor.AppendText(dst, topic)
	return cbor.AppendBytes(dst, sender)
}

// appendSrcAAD appends the external_aad of Sign1 and Mac0:
//
//	src-aad = [ "MQTT1", 10, kind, topic: tstr, sender: bstr, fresh: bstr,
//	            aud: bstr .size 32 / null ]
//
// fresh is the sequence of the outermost layer, so that a signature cannot be
// carried to another sequence; aud is the thumbprint of the key outside, nil
// if the layer stands alone, so that it cannot be carried to another audience.
func appendSrcAAD(dst []byte, kind Kind, topic string, sender, fresh, aud []byte) []byte {
	dst = cbor.AppendArray(dst, 7)
	dst = cbor.AppendText(dst, profile)
	dst = cbor.AppendUint(dst, sourceStructure)
	dst = cbor.AppendUint(dst, uint64(kind))
	dst = cbor.AppendText(dst, topic)
	dst = cbor.AppendBytes(dst, sender)
	dst = cbor.AppendBytes(dst, fresh)
	if aud == nil {
		return cbor.AppendNull(dst)
	}
	return cbor.AppendBytes(dst, aud)
}

// appendConnAAD appends the external_aad of P1, P2 and P3:
//
//	conn-aad = [ "MQTT1", 3, level: 3 / 4 / 5, client-id: tstr, username: tstr / null,
//	             server: tstr, cb: bstr .size 32 / null ]
func appendConnAAD(dst []byte, c *Connect, binding bool) []byte {
	dst = cbor.AppendArray(dst, 7)
	dst = cbor.AppendText(dst, profile)
	dst = cbor.AppendUint(dst, uint64(kindConnect))
	dst = cbor.AppendUint(dst, uint64(c.Level))
	dst = cbor.AppendText(dst, c.ClientID)
	if c.HasUsername {
		dst = cbor.AppendText(dst, c.Username)
	} else {
		dst = cbor.AppendNull(dst)
	}
	dst = cbor.AppendText(dst, c.Server)
	if binding {
		return cbor.AppendBytes(dst, c.Binding[:])
	}
	return cbor.AppendNull(dst)
}
