package transport

import "syscall"

// setSocketMode gives the socket its permissions before it gets a name, so that there is no moment in which others may
// connect.
func setSocketMode(_, _ string, c syscall.RawConn) error {
	var err error
	if ctlErr := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), unixMode) }); ctlErr != nil {
		return ctlErr
	}
	return err
}
