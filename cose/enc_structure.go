package cose

import "github.com/sealmq/sealmq/internal/cbor"

// appendEncStructure appends what an AEAD authenticates besides the plaintext,
// RFC 9052 §5.3:
//
//	Enc_structure = [
//	    context      : "Encrypt" / "Encrypt0" / "Enc_Recipient" / ...,
//	    protected    : empty_or_serialized_map,
//	    external_aad : bstr
//	]
//
// context is "Encrypt0" for COSE_Encrypt0 and "Encrypt" for the body of
// COSE_Encrypt. protected is the byte string as received, so that a sender's
// map order does not matter. AES key wrap takes no AAD (RFC 9053 §6.2), hence
// no Enc_Recipient here.
func appendEncStructure(dst []byte, context string, protected, externalAAD []byte) []byte {
	dst = cbor.AppendArray(dst, 3)
	dst = cbor.AppendText(dst, context)
	dst = cbor.AppendBytes(dst, protected)
	return cbor.AppendBytes(dst, externalAAD)
}
