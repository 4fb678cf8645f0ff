package cose

import "github.com/sealmq/sealmq/internal/cbor"

// appendSigStructure appends what the signature of a COSE_Sign1 covers,
// RFC 9052 §4.4:
//
//	Sig_structure = [
//	    context        : "Signature" / "Signature1",
//	    body_protected : empty_or_serialized_map,
//	    ? sign_protected : empty_or_serialized_map,   ; "Signature" only
//	    external_aad   : bstr,
//	    payload        : bstr
//	]
func appendSigStructure(dst, protected, externalAAD, payload []byte) []byte {
	dst = cbor.AppendArray(dst, 4)
	dst = cbor.AppendText(dst, "Signature1")
	dst = cbor.AppendBytes(dst, protected)
	dst = cbor.AppendBytes(dst, externalAAD)
	return cbor.AppendBytes(dst, payload)
}
