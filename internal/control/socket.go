package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// SocketName is the socket's name within the data folder.
const SocketName = "control.sock"

// maxConnections bounds the connections that are open at once; others wait to be accepted.
const maxConnections = 16

// Socket is the open socket. It hands out connections of permitted peers only.
type Socket struct {
	unix   *net.UnixListener
	path   string
	self   os.FileInfo               // of the socket file, so that only our own is removed
	slots  chan struct{}             // one taken for each open connection
	permit func(*net.UnixConn) error // checkPeer
	denied func(error)
	once   sync.Once
	ended  chan struct{}
	err    error // of Close
}

// InUseError says that a running broker answers at the socket.
type InUseError struct{ Path string }

// Error names the socket.
func (e *InUseError) Error() string { return "another broker listens at " + e.Path }

// Listen opens the socket in dir, which must exist. It closes dir to others where it may, and takes the place of a
// socket that a killed broker left behind, but not of one that is answered. denied is told of every peer that is turned
// away.
func Listen(dir string, denied func(error)) (*Socket, error) {
	path := filepath.Join(dir, SocketName)
	if err := closeFolder(dir); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := checkStale(path); err != nil {
		return nil, err
	}
	// The socket is made in a folder of our own and moved into place when its mode is right: nobody ever sees it open.
	private, err := os.MkdirTemp(dir, ".control-")
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	defer os.RemoveAll(private) //nolint:errcheck // empty but for a failure that is reported
	l := &Socket{path: path, permit: checkPeer, denied: denied, slots: make(chan struct{}, maxConnections), ended: make(chan struct{})}
	temporary := filepath.Join(private, "s")
	err = withShort(temporary, func(short string) (err error) {
		l.unix, err = net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	l.unix.SetUnlinkOnClose(false) // the name moves
	err = os.Chmod(temporary, 0o600)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err == nil {
		l.self, err = os.Lstat(path)
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", errors.Join(err, l.unix.Close()))
	}
	return l, nil
}

// closeFolder takes the rights of others on a folder away. A folder that belongs to somebody else stays as it is: then
// the socket's own mode and the check of the peer are what protects it.
func closeFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err := os.Chmod(dir, info.Mode().Perm()&0o700); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// checkStale refuses when something answers at the socket, or when something else has its name.
func checkStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("control socket %s: there is something else of that name", path)
	}
	conn, err := dial(path)
	switch {
	case err == nil:
		_ = conn.Close()
		return &InUseError{path}
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, fs.ErrPermission): // its queue is full, or we may not ask
		return &InUseError{path}
	}
	return nil
}

// dial connects to a socket whatever the length of its path.
func dial(path string) (conn *net.UnixConn, err error) {
	err = withShort(path, func(short string) (err error) {
		conn, err = net.DialUnix("unix", nil, &net.UnixAddr{Name: short, Net: "unix"})
		return err
	})
	return conn, err
}

// Path is where the socket is.
func (l *Socket) Path() string { return l.path }

// Accept returns the next connection of a permitted peer.
func (l *Socket) Accept() (net.Conn, error) {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.ended:
			return nil, net.ErrClosed
		}
		c, err := l.unix.AcceptUnix()
		if err != nil {
			<-l.slots
			return nil, err
		}
		if err := l.permit(c); err != nil {
			_ = c.Close()
			<-l.slots
			l.denied(err)
			continue
		}
		return &slotConn{UnixConn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
	}
}

// Addr implements net.Listener.
func (l *Socket) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close closes the socket and removes its file.
func (l *Socket) Close() error {
	l.once.Do(func() {
		close(l.ended)
		l.err = l.unix.Close()
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.self) {
			l.err = errors.Join(l.err, os.Remove(l.path))
		}
	})
	return l.err
}

// slotConn gives its place back when it is closed.
type slotConn struct {
	*net.UnixConn
	release func()
}

// Close implements net.Conn.
func (c *slotConn) Close() error {
	defer c.release()
	return c.UnixConn.Close()
}

// Peer is who is at the other end of a connection.
type Peer struct {
	PID, UID int
	Known    bool // the kernel told
}

// PeerError says that the process at the other end may not be talked to.
type PeerError struct{ Peer Peer }

// Error names the user and the process.
func (e *PeerError) Error() string {
	return fmt.Sprintf("process %d of user %d is at the other end, not this user (%d) or root", e.Peer.PID, e.Peer.UID, os.Geteuid())
}

// checkPeer refuses every client but the same user and root.
func checkPeer(c *net.UnixConn) error { return checkUser(c, os.Geteuid()) }

// checkServer refuses every broker but that of the same user and root's, unless root asks.
func checkServer(c *net.UnixConn) error {
	self := os.Geteuid()
	if self == 0 {
		return nil
	}
	return checkUser(c, self)
}

func checkUser(c *net.UnixConn, self int) error {
	p, err := peerOf(c)
	if err != nil {
		return fmt.Errorf("ask for the peer: %w", err)
	}
	return permitted(p, self)
}

// permitted is the rule for a process that runs as user self.
func permitted(p Peer, self int) error {
	if p.Known && p.UID != 0 && p.UID != self {
		return &PeerError{p}
	}
	return nil
}
