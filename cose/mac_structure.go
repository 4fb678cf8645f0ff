package cose

import "github.com/sealmq/sealmq/internal/cbor"

// appendMACStructure appends what the MAC of a COSE_Mac0 covers, RFC 9052 §6.3:
//
//	MAC_structure = [
//	    context      : "MAC" / "MAC0",
//	    protected    : empty_or_serialized_map,
//	    external_aad : bstr,
//	    payload      : bstr
//	]
func appendMACStructure(dst, protected, externalAAD, payload []byte) []byte {
	dst = cbor.AppendArray(dst, 4)
	dst = cbor.AppendText(dst, "MAC0")
	dst = cbor.AppendBytes(dst, protected)
	dst = cbor.AppendBytes(dst, externalAAD)
	return cbor.AppendBytes(dst, payload)
}
