// Package outcomes finds out what each protection of a payload stops, by carrying every attack out: a real publisher, a
// broker and a real subscriber on loopback, and between them somebody who reads and alters what passes. What is declared
// stands in vectors/outcomes.tsv; Lab.Run tries it and returns one Cell for each trial, which says whether the world is as
// declared. The tests and the demo use the same code.
//
// A trial has circumstances: PUBLISH or Will, version of the protocol, QoS, and the way of delivery. Attacks that change a
// message are tried where it enters the broker and where it leaves it: the second is what an evil broker can do.
package outcomes
