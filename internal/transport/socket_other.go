//go:build !linux

package transport

import (
	"net"
	"sync"
)

// listenConfig has the probes set for each connection.
func listenConfig() net.ListenConfig {
	return net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: probeIdle, Interval: probeInterval, Count: probeCount,
	}}
}

// readSize is the size of a read buffer, in bytes.
const readSize = 64 << 10

var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// socket is the twin of the one for Linux without raw system calls: it holds a buffer while it waits for input, and
// leaves writing to blocking calls.
type socket struct{ stream }

func newSocket(s stream) (*socket, error) { return &socket{s}, nil }

// ReadEach calls f with every batch of bytes that arrives, until f returns false (and ReadEach nil) or reading fails.
// The bytes are valid during the call.
func (c *socket) ReadEach(f func(b []byte) bool) error {
	buf := readBuffers.Get().(*[readSize]byte)
	defer readBuffers.Put(buf)
	for {
		n, err := c.Read(buf[:])
		if n > 0 && !f(buf[:n]) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// TryWrite writes nothing, because nothing can be written without the risk of blocking.
func (c *socket) TryWrite([]byte) (int, error) { return 0, nil }
