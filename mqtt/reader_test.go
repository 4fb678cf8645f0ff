package mqtt

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReader reads all samples of a version as one stream; the Reader learns the version from the CONNECT.
func TestReader(t *testing.T) {
	for _, v := range versions {
		var stream []byte
		for range 20 {
			for _, p := range samples(v) {
				stream = append(stream, mustAppend(t, p, v)...)
			}
		}
		r := NewReader(bytes.NewReader(stream), 0, 1<<16)
		for range 20 {
			for _, want := range samples(v) {
				got, err := r.ReadPacket()
				if err != nil {
					t.Fatalf("%s %s: %v", v, want.Type(), err)
				}
				if diff := cmp.Diff(want, got, samePacket...); diff != "" {
					t.Fatalf("%s %s: (-want +got)\n%s", v, want.Type(), diff)
				}
			}
		}
		if _, err := r.ReadPacket(); err != io.EOF {
			t.Errorf("%s: %v at the end", v, err)
		}
	}
}

func TestReaderLimit(t *testing.T) {
	b := mustAppend(t, &Publish{Topic: "a", Payload: make([]byte, 95)}, V311)
	if len(b) != 100 {
		t.Fatal(len(b))
	}
	if _, err := NewReader(bytes.NewReader(b), V311, 100).ReadPacket(); err != nil {
		t.Errorf("a packet of the limit: %v", err)
	}
	r := NewReader(bytes.NewReader(b[:2]), V311, 99)
	if _, err := r.ReadPacket(); !errors.Is(err, &Error{Code: PacketTooLarge}) {
		t.Errorf("a packet over the limit: %v", err)
	}
}

func TestReaderCut(t *testing.T) {
	b := mustAppend(t, &Publish{Topic: "a", Payload: []byte("x")}, V311)
	for cut := 1; cut < len(b); cut++ {
		if _, err := NewReader(bytes.NewReader(b[:cut]), V311, 0).ReadPacket(); err != io.ErrUnexpectedEOF {
			t.Errorf("after %d bytes: %v", cut, err)
		}
	}
	if _, err := NewReader(bytes.NewReader(nil), V311, 0).ReadPacket(); err != io.EOF {
		t.Errorf("empty stream: %v", err)
	}
}

// TestReaderRoom receives a large packet byte by byte and watches how much room the Reader makes for the rest.
func TestReaderRoom(t *testing.T) {
	b := mustAppend(t, &Publish{Topic: "a", Payload: make([]byte, 100_000)}, V311)
	received := 0
	r := readFunc(func(p []byte) (int, error) {
		if len(p) > max(readerChunk, received) {
			t.Fatalf("room for %d bytes after %d were received", len(p), received)
		}
		p[0] = b[received]
		received++
		return 1, nil
	})
	if _, err := NewReader(r, V311, 0).ReadPacket(); err != nil || received != len(b) {
		t.Errorf("%d bytes received, %v", received, err)
	}
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
