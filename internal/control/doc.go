// Package control is the local control socket of a running broker: HTTP/1.1 with JSON bodies over a Unix socket in the
// data folder, for the admin, backup and status commands on the same machine. It never listens on a network.
//
// Who may use it is decided by the operating system. The socket has mode 0600 in a folder that is closed to others where
// the broker may close it, and where the kernel tells who is at the other end (SO_PEERCRED on Linux) both sides check
// that it is the same user or root, so that neither a loose folder nor a planted socket helps anybody. Whoever gets
// through may do everything that the commands can do.
//
// The package does not know the broker: it declares what it needs in seams.go, and wiring fits that in.
package control
