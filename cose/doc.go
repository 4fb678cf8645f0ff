// Package cose reads and writes the COSE messages (RFC 9052) that protect MQTT
// payloads, with the algorithms of RFC 9053 that SealMQ allows and no others.
//
// Structures: COSE_Encrypt0, COSE_Encrypt with ECDH-ES and AES key wrap,
// COSE_Mac0, COSE_Sign1 and COSE_Key. Algorithms: A128GCM, A256GCM,
// HMAC 256/256, ES256, EdDSA (Ed25519), ECDH-ES+A128KW and ECDH-ES+A256KW on
// P-256. Anything else is refused by name; a non-AEAD cipher is never accepted.
//
// The codec knows a closed list of header parameters. A parameter outside it
// (crit and countersignatures among them) is refused, not skipped: a reader
// that ignores what it does not know cannot say what it has verified. Stricter
// than the standard: tags are mandatory, detached content is refused, and only
// deterministic encodings are read (map order excepted).
//
// Parsed messages alias their input. Nothing here keeps state, so distinct
// values may be used concurrently; a Key is immutable and safe for concurrent
// use. Package protect adds the MQTT profile: which parameter must stand where,
// external_aad, replay and policy.
package cose
