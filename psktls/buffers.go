package psktls

import "sync"

// Record buffers are borrowed while a record is in flight and given back as
// soon as it is consumed, so that an idle connection holds none. Two sizes:
// MQTT packets are mostly small.
const (
	smallBufferLen = 2048
	largeBufferLen = maxRecord
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBufferLen]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBufferLen]byte) }}
)

// getBuffer borrows an empty buffer with a capacity of at least n octets; n is
// at most largeBufferLen.
func getBuffer(n int) []byte {
	if n <= smallBufferLen {
		return smallBuffers.Get().(*[smallBufferLen]byte)[:0]
	}
	return largeBuffers.Get().(*[largeBufferLen]byte)[:0]
}

// putBuffer clears what was used of a buffer and gives it back. b must start
// where the borrowed one started.
func putBuffer(b []byte) {
	clear(b)
	switch cap(b) {
	case smallBufferLen:
		smallBuffers.Put((*[smallBufferLen]byte)(b[:smallBufferLen]))
	case largeBufferLen:
		largeBuffers.Put((*[largeBufferLen]byte)(b[:largeBufferLen]))
	}
}
