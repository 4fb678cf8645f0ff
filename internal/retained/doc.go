// Package retained holds the Retained Messages of a node, MQTT 5 §3.3.1.3, one for each Topic Name, and finds those
// that match a Topic Filter. It has no sockets, no clock and no goroutines, and keeps expired messages until it is told
// to delete them.
//
// # Structure
//
// A hash finds a message by its Topic Name. A list of chunks keeps the topics in order, level by level, so that all
// topics below a level lie next to each other; that order is what a filter walks and what makes a topic a cursor. The
// walk jumps: where a topic does not match, the filter tells the next topic that could, and everything in between is
// skipped by binary search.
//
// # Cost
//
// n is the number of retained messages.
//
//	Get, Put of a topic that is there   one hash lookup
//	Put of a new topic, Delete          one hash lookup, O(log n), one move within a chunk of at most 512 topics
//	Match, MatchPage                    O(log n) for each run of topics that is skipped, O(1) for each that matches
//
// MatchPage limits the work of one call also when nothing matches, and no lock is held while results are used, so that a
// filter which fits a million topics, or none of a million, delays nobody else.
//
// All methods are safe for concurrent use. A match is not a snapshot: it has each message exactly once that is retained
// for its whole time, and the newest of each topic at the time its page was read.
package retained
