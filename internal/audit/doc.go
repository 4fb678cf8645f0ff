// Package audit keeps what an auditor wants to read: who was let in, who was refused and why, and who changed what. It is a
// file of JSON lines in which every line contains the SHA-256 of the line before, and which is signed at checkpoints with an
// Ed25519 key.
//
// What that shows, and what it does not. Whoever changes, removes or reorders lines without the key is found at the first
// line that is wrong. Whoever removes lines from the end is found when a checkpoint went with them: the last checkpoint is
// also kept in a file of its own, and written to the log. Lines after the last checkpoint are chained and not yet signed.
// Whoever has the key can write another history; to be safe from the broker's own machine, keep a checkpoint elsewhere and
// give it to Verify.
//
// Lines hold no secrets: what goes into an Entry was quoted, bounded and chosen by the caller.
package audit
