//go:build !linux

package transport

import "net"

// newTCPConn leaves the connection as it is: without the raw system calls of Linux, the broker reads and writes it with
// blocking calls.
func newTCPConn(c *net.TCPConn) (net.Conn, error) { return c, nil }
