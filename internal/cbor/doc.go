// Package cbor is the strict, bounded reader and the deterministic writer
// behind the fixed shapes of packages cose, keyring and protect.
//
// It is deliberately not a general CBOR library. The writer emits core
// deterministic encoding (RFC 8949 §4.2.1) when its caller writes map keys in
// bytewise order of their encodings. The reader walks one buffer, never copies
// and never allocates on success: byte strings alias the input. It refuses
// indefinite lengths, heads that are not the shortest form, floats, tags and
// simple values its caller did not ask for, lengths beyond the input, and
// trailing bytes. Nesting is bounded by the caller's shape: nothing recurses.
//
// Neither type is safe for concurrent use.
package cbor
