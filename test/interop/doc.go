// Package interop drives stock MQTT clients against the built program. Its tests need the build tag interop, the
// program (make build) and the clients; a client that is not installed is skipped with a line that says how to get it.
//
//	make interop
//
// SEALMQ_BIN names the program. SEALMQ_INTEROP_BROKER replaces the whole command by another broker's, with {port} for
// the port, to tell a fault of a script from one of ours: SEALMQ_INTEROP_BROKER="mosquitto -p {port}".
package interop
