// Package load is a load generator for MQTT brokers. A run is one scenario against one broker, and its report says what
// arrived, what was lost, what came twice, how long messages took, and what the broker's process spent on it.
//
// # Messages
//
// The last sixteen bytes of every payload are a tag: the time it was sent, the publisher and the message's number there.
// Each receiver remembers every number it has seen, so that losses and duplicates are exact and not estimates.
//
// # Load
//
// Without a rate the loop is closed: a publisher has at most a window of messages under way, with QoS 1 and 2 until they
// are acknowledged, with QoS 0 until they have arrived, so that a broker works at its limit without having to drop. What
// does not arrive for a while is taken out of the window, and still counts as lost. With a rate each message is a write of
// its own, sent when its time has come.
//
// # Costs
//
// Processor time is that of the broker's whole process by the clock of the kernel's scheduler, in nanoseconds; memory is
// the resident set. Both are known on Linux only. A generator that shares the machine also takes processor time, so rates
// are for orientation; the broker's time for one message is what can be compared.
package load
