package transport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// unixMode lets the owner and the group of the broker's process connect.
const unixMode = 0o660

// listenUnix opens a Unix socket. A socket file that nobody listens on, left by a broker that was killed, is replaced;
// anything else at that path is left alone and an error.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, refuse(CheckFile, "a Unix socket or nothing", path+", which is something else")
		}
		if err := unused(ctx, path); err != nil {
			return nil, err
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replace the socket %s: %w", path, err)
		}
	}
	lc := net.ListenConfig{Control: setSocketMode}
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, unixMode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// unused refuses a socket that somebody may listen on: who answers, whose queue is full, and whom we may not ask.
func unused(ctx context.Context, path string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return errors.Join(refuse(CheckFile, "a Unix socket that nobody listens on", path+", which is in use"), c.Close())
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, fs.ErrPermission), ctx.Err() != nil:
		return &Error{Check: CheckFile, Expected: "a Unix socket that nobody listens on", Found: path + ", which may be in use", Err: err}
	}
	return nil
}
