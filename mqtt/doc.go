// Package mqtt holds the control packets of MQTT 3.1, 3.1.1 and 5.0: their types, parsing, appending, properties and
// reason codes. It opens no socket, starts no goroutine and knows no session state; Reader is the only thing that
// touches an io.Reader. Every packet has a file of its own, named after it; puback.go shows the pattern.
//
// # Parsing
//
// A caller that owns a buffer uses ParseHeader and then Parse, or the Parse method of a packet it keeps for the
// purpose. Parsing copies nothing: strings and byte slices of the packet alias the body and are valid until the body
// is reused; Clone makes a copy to keep. A packet that is parsed into again reuses its slices, so that steady traffic
// allocates nothing. After an error the contents of the packet are unspecified, except for Connect.ProtocolVersion.
//
// What can be judged by looking at one packet is judged here and refused with an *Error, which carries the reason
// code to answer with and the clause that was broken: lengths, reserved bits, text, properties and their values,
// reason codes, combinations of flags. What needs the direction of the packet, the state of a session or the limits
// of a server is left to the caller: which packets a client may send at all, Topic Alias Maximum, Subscription
// Identifiers in a client's PUBLISH, matching Packet Identifiers, and the syntax of Topic Filters, which package topic
// checks so that a server can answer each filter by itself.
//
// # Text
//
// All UTF-8 Encoded Strings are held to the strict reading of MQTT 5 §1.5.4: well formed, without U+0000
// [MQTT-1.5.4-1] [MQTT-1.5.4-2], and also without control characters (U+0001 to U+001F, U+007F to U+009F) and
// non-characters, which the standard lets a receiver refuse. A byte order mark is an ordinary character
// [MQTT-1.5.4-3]. ValidString tells beforehand whether a string would pass.
//
// # Appending
//
// Append writes one whole packet in the form of the given version. It refuses what cannot be represented, such as a
// string of more than 65,535 bytes, and combinations of fields that no receiver may accept, and then returns dst
// unchanged. It does not look at the characters of strings again. Properties are written for version 5 only.
//
// Values are not safe for concurrent use while one goroutine changes them; appending the same packet from many
// goroutines is safe.
package mqtt
