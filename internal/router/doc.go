// Package router finds who gets a message: it holds the subscriptions of a node and answers, for a Topic Name, which
// subscribers match it and with which options. It has no sockets, no clock and no goroutines; a subscriber is an opaque
// comparable handle.
//
// # Structure
//
// Filters without wildcards lie in open-addressed hash tables of 256 shards; filters with wildcards in a trie, one node a
// level. Readers search both without locks: every change becomes visible through one atomic store. A filter holds its only
// subscription itself, or else sets of them. Such sets, like the children of a node and the members of a group, are hash
// trees whose leaves are chunks of at most 16 items, replaced as a whole.
//
// Results are kept in a bounded cache. Once it is full, a topic enters it when it is asked for a second time. A change
// makes stale only the cached topics that share the literal levels in front of the filter's first wildcard (or its whole
// text, without wildcard), so that clients coming and going below "devices/<id>/" leave the results of other devices alone.
//
// # Cost
//
// L is the number of levels of the topic or filter, n the number of subscribers of one filter, m the number of filters
// that match.
//
//	Subscribe, Unsubscribe   O(L + log n): one chunk is copied, never the whole fan-out; now and then a shard's table moves
//	Match, cached            O(length of the topic), no allocation
//	Match, not cached        one hash lookup, plus the trie nodes whose path matches a prefix of the topic, plus the fan-out
//
// Matching is iterative, visits a trie node at most once and keeps at most L+1 nodes pending. The nodes it can visit are
// limited twice: by the nodes that exist (a filter adds at most one for each of its levels), and by 2^L. So a hostile set
// such as every combination of "a" and "+" costs time in proportion to the subscriptions that were admitted, whatever
// topic is published; a broker limits it by limiting subscriptions for each client. When only one filter with many
// subscribers matches, its list is built once and shared by all topics that it matches; when several match, their lists
// are merged in O(subscribers of all of them).
//
// # Guarantees
//
// All methods are safe for concurrent use. A Match that starts after Subscribe or Unsubscribe has returned sees the
// change. A Match during a change sees it or not, filter by filter.
package router
