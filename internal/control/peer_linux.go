package control

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// peerOf asks the kernel who opened the other end (unix(7), SO_PEERCRED).
func peerOf(c *net.UnixConn) (p Peer, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return p, err
	}
	var cred *syscall.Ucred
	controlErr := raw.Control(func(fd uintptr) {
		cred, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if controlErr != nil {
		return p, controlErr
	}
	if err != nil {
		return p, os.NewSyscallError("getsockopt", err)
	}
	return Peer{PID: int(cred.Pid), UID: int(cred.Uid), Known: true}, nil
}

// maxSocketPath is the longest path a socket address holds (unix(7)), in bytes.
const maxSocketPath = 107

// withShort calls f with a name for path that fits into a socket address: a long one goes by way of its folder's
// descriptor.
func withShort(path string, f func(short string) error) error {
	if len(path) <= maxSocketPath {
		return f(path)
	}
	dir, err := os.OpenFile(filepath.Dir(path), os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // only read
	return f("/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + filepath.Base(path))
}
