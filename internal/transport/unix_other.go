//go:build !linux

package transport

import "syscall"

// setSocketMode does nothing: permissions of a socket without a name are a matter of Linux. They are set right after
// it has one.
func setSocketMode(_, _ string, _ syscall.RawConn) error { return nil }
