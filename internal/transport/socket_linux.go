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
	r := new(reading)
	read := r.read
	for {
		if err := c.raw.Read(read); err != nil {
			return err
		}
		if r.n <= 0 {
			return r.err
		}
		more := f(r.buf[:r.n])
		readBuffers.Put(r.buf)
		r.buf = nil
		if !more {
			return nil
		}
		switch now := time.Since(began); {
		case r.since == 0:
			r.since = now
		case now-r.since >= longestRun:
			r.since = 0
			takeTurn()
		}
	}
}

// began is what times within this file count from.
var began = time.Now()

// reading is one ReadEach. It is one piece of memory, because every idle connection has one.
type reading struct {
	buf   *[readSize]byte // while it has a batch
	n     int
	err   error
	since time.Duration // when the first batch after the last wait was done; 0: none was
}

// read is done when there is a batch, or the end.
func (r *reading) read(fd uintptr) (done bool) {
	for {
		buf := readBuffers.Get().(*[readSize]byte)
		r.n, r.err = transfer(syscall.SYS_READ, fd, buf[:])
		if r.n > 0 {
			r.buf = buf
			return true
		}
		readBuffers.Put(buf)
		switch {
		case r.n == 0:
			r.err = io.EOF
			return true
		case errors.Is(r.err, syscall.EINTR):
		case errors.Is(r.err, syscall.EAGAIN):
			r.since = 0
			return false
		default:
			return true
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
