package broker

import (
	"net"
	"sync"
)

// readSize is the size of a read buffer, in bytes. One is borrowed for each batch read, never held while waiting.
const readSize = 32 << 10

var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// blockingWire makes a Wire of any net.Conn. It holds a buffer while it waits for input, and TryWrite leaves everything
// to the writer goroutine: correct everywhere, fast nowhere.
type blockingWire struct{ net.Conn }

func newWire(nc net.Conn) Wire {
	if w, ok := nc.(Wire); ok {
		return w
	}
	return blockingWire{nc}
}

// ReadEach implements Wire.
func (w blockingWire) ReadEach(f func(b []byte) bool) error {
	buf := readBuffers.Get().(*[readSize]byte)
	defer readBuffers.Put(buf)
	for {
		n, err := w.Read(buf[:])
		if n > 0 && !f(buf[:n]) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// TryWrite implements Wire: nothing can be written without the risk of blocking.
func (w blockingWire) TryWrite([]byte) (int, error) { return 0, nil }
