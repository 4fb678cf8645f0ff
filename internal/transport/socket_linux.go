package transport

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// listenConfig has the probes set once, for the listening socket: the kernel gives its connections the same. To set them
// for each takes four system calls.
func listenConfig() net.ListenConfig {
	return net.ListenConfig{KeepAlive: -1, Control: func(network, _ string, c syscall.RawConn) error {
		var err error
		ctlErr := c.Control(func(fd uintptr) { err = setProbes(int(fd)) })
		return errors.Join(ctlErr, err)
	}}
}

func setProbes(fd int) error {
	for _, o := range [...]struct{ level, name, value int }{
		{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, int(probeIdle / time.Second)},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, int(probeInterval / time.Second)},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, probeCount},
	} {
		if err := syscall.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return err
		}
	}
	return nil
}

// readSize is the size of the buffer borrowed for one read, in bytes.
const readSize = 64 << 10

var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// socket moves bytes with one system call for each batch: it waits for the socket to become readable without holding a
// buffer, and writes what the kernel takes without waiting. It must not be copied.
type socket struct {
	stream
	raw syscall.RawConn
}

func newSocket(s stream) (*socket, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &socket{stream: s, raw: raw}, nil
}

// ReadEach calls f with every batch of bytes that arrives, until f returns false (and ReadEach nil), the peer closes
// (io.EOF) or reading fails. The bytes are valid during the call. It honours the read deadline and Close, which f may
// call, too.
//
// Each batch is read inside the callback of RawConn.Read: returning "not done" from there parks the goroutine until the
// socket changes again. It parks only after a read that found nothing. A short read is not enough: the end of the stream
// may have come together with the data, and the kernel reports both once. f is called outside, because Close waits until
// no callback runs.
func (c *socket) ReadEach(f func(b []byte) bool) error {
	var (
		buf    *[readSize]byte
		n      int
		result error
		since  time.Time // of the first batch after the last wait
	)
	read := func(fd uintptr) (done bool) {
		for {
			buf = readBuffers.Get().(*[readSize]byte)
			n, result = transfer(syscall.SYS_READ, fd, buf[:])
			switch {
			case n > 0:
				return true
			case n == 0 && result == nil:
				result = io.EOF
			}
			readBuffers.Put(buf)
			switch {
			case errors.Is(result, syscall.EINTR):
			case errors.Is(result, syscall.EAGAIN):
				since = time.Time{}
				return false
			default:
				return true
			}
		}
	}
	for {
		n = 0
		if err := c.raw.Read(read); err != nil {
			return err
		}
		if n <= 0 {
			return result
		}
		more := f(buf[:n])
		readBuffers.Put(buf)
		if !more {
			return nil
		}
		switch now := time.Now(); {
		case since.IsZero():
			since = now
		case now.Sub(since) >= longestRun:
			since = time.Time{}
			takeTurn()
		}
	}
}

// TryWrite writes what the kernel takes without waiting. n < len(b) with a nil error means that the rest would block.
func (c *socket) TryWrite(b []byte) (n int, err error) {
	w := attempts.Get().(*attempt)
	w.rest = b
	err = c.raw.Write(w.run)
	if w.err != nil {
		err = w.err
	}
	n = len(b) - len(w.rest)
	w.rest, w.err = nil, nil
	attempts.Put(w)
	return n, err
}

// attempt is one TryWrite. It is used again, and with it the function that RawConn wants.
type attempt struct {
	rest []byte
	err  error
	run  func(fd uintptr) (done bool)
}

var attempts = sync.Pool{New: func() any {
	w := new(attempt)
	w.run = w.write
	return w
}}

// write writes until all is written or the kernel takes no more. It is never not done: that would wait.
func (w *attempt) write(fd uintptr) (done bool) {
	for len(w.rest) > 0 {
		n, err := transfer(syscall.SYS_WRITE, fd, w.rest)
		w.rest = w.rest[max(n, 0):]
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			w.err = err
			return true
		}
	}
	return true
}

// transfer is read or write on a socket that does not block.
func transfer(call, fd uintptr, b []byte) (n int, err error) {
	r, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}
