package broker

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealmq/sealmq/internal/router"
	"github.com/sealmq/sealmq/mqtt"
)

// TestTopicsAhead: the names are those of the PUBLISH packets, packet by packet, whatever stands between and behind them.
func TestTopicsAhead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SampledFrom([]mqtt.Version{mqtt.V311, mqtt.V5}).Draw(t, "version")
		kinds := rapid.SliceOfN(rapid.IntRange(0, 3), 0, 40).Draw(t, "packets")
		var data []byte
		var want []string
		var ends []int
		for i, kind := range kinds {
			name := string(rune('a'+i%26)) + "/topic"
			var p mqtt.Publish
			switch kind {
			case 0:
				data = append(data, byte(mqtt.TypePingreq)<<4, 0)
			case 1:
				p = mqtt.Publish{Topic: name, Payload: []byte("x")}
			case 2:
				p = mqtt.Publish{Topic: name, QoS: mqtt.AtLeastOnce, PacketID: 7}
			default: // a name that is longer than its packet
				data = append(data, byte(mqtt.TypePublish)<<4, 3, 0, 9, 'x')
			}
			if p.Topic != "" {
				want = append(want, name)
				var err error
				if data, err = p.Append(data, v); err != nil {
					t.Fatal(err)
				}
			}
			ends = append(ends, len(data))
		}
		data = append(data, rapid.SampledFrom([]string{"", "\x30", "\x30\x7f\x00\x01a", "\x30\xff\xff\xff\xff\xff", "\x00"}).Draw(t, "rest")...)
		names, n := [][]byte(nil), 0
		var room [router.Ahead][]byte
		for n < len(data) {
			some, end := topicsAhead(room[:0], data, n, v)
			if end <= n || end != len(data) && !slices.Contains(ends, end) {
				t.Fatalf("looked from %d to %d, packets end at %v", n, end, ends)
			}
			for _, name := range some {
				names = append(names, bytes.Clone(name))
			}
			n = end
		}
		if !slices.EqualFunc(names, want, func(a []byte, b string) bool { return string(a) == b }) {
			t.Fatalf("names %q, want %q", names, want)
		}
	})
}
