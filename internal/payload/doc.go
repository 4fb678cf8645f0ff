// Package payload decides whether the payload of a message is what its topic demands, and what of it goes on: the
// broker's half of the profile MQTT1 (docs/spec/mqtt1.md sections 5, 6, 8 and 9). It checks the form of what it holds no
// key of, verifies signatures, MACs and checksums, opens what is sealed to the broker, seals it again for the topic's
// subscribers, and keeps the replay state in the rows of the messages it belongs to.
//
// It has no sockets, files and clocks: keys, rows and the time are handed in. DESIGN.md has the concepts.
package payload
