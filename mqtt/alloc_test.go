package mqtt

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
)

// allocatedBy returns how many bytes f allocates, together with whatever else runs.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestAnnouncedLength sends a packet that announces the largest length and then little more: no memory may be taken
// for what was only announced.
func TestAnnouncedLength(t *testing.T) {
	announced := append([]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}, make([]byte, 1000)...)
	n := allocatedBy(func() {
		if _, err := NewReader(bytes.NewReader(announced), V311, 0).ReadPacket(); err == nil {
			t.Error("half a packet was accepted")
		}
	})
	if n > 64<<10 {
		t.Errorf("%d bytes were allocated for 1005 bytes of input", n)
	}
}

// TestRefusalLeavesNothing refuses packets with properties and a Will 100,000 times with the same packet and checks
// that the heap does not grow.
func TestRefusalLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 repeats")
	}
	bad := [][]byte{
		connect(V5, 0x06, "\x07\x26", lp("k"), lp("v"), lp("c"), "\x0A\x26", lp("k"), lp("v"), "\x23\x00\x01", lp("w"), lp("")),
		withProperty(0x30, lp("a"), "\x26"+lp("k")+lp("v")+"\x01\x02"),
		frame(0x82, "\x00\x01\x00", strings.Repeat(lp("a")+"\x00", 10), lp("b")),
	}
	packets := []Packet{new(Connect), new(Publish), new(Subscribe)}
	measure := func(repeats int) uint64 {
		for range repeats {
			for i, p := range packets {
				h, n, _ := ParseHeader(bad[i], 0)
				if err := p.Parse(V5, h.Flags, bad[i][n:]); err == nil {
					t.Fatalf("%s was accepted", p.Type())
				}
			}
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := measure(100)
	if after := measure(100_000); after > before+64<<10 {
		t.Errorf("heap grew from %d to %d bytes", before, after)
	}
}
