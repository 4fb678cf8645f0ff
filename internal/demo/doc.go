// Package demo shows what the broker and the protection of payloads stop, and what they do not, by doing it: a broker with a
// configuration on disk, clients that log in to it, and attackers on the way, with a login, and at the broker. Everything
// happens on loopback, on free ports, in a folder that is removed at the end unless it is to be kept.
//
// Every attack has a declared end. A Result says whether the world is as declared; the command ends with an error where it
// is not. What refused an attack is read from the broker's own records: layer, rule with file and line, decision.
package demo
