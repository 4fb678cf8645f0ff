package broker

import (
	"strings"
	"testing"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/mqtt"
)

// TestReasonString: an acknowledgement says why only to clients that want to know and have room for it.
func TestReasonString(t *testing.T) {
	conformance.Covers(t, "MQTT-3.1.2-29", "MQTT-3.4.2-2", "MQTT-3.5.2-2", "MQTT-3.7.2-2")
	why := strings.Repeat("w", maxReasonString)
	for _, wanted := range []bool{true, false} {
		for room := uint32(0); room < 150; room++ {
			c := &conn{problemInfo: wanted, maxPacket: room}
			for n := range maxReasonString + 1 {
				frame := appendAck(nil, mqtt.V5, mqtt.TypePuback, 1, mqtt.NotAuthorized, c.reasonString(why[:n]))
				said := len(frame) > 5
				if said && (!wanted || room > 0 && len(frame) > int(room)) {
					t.Fatalf("%d bytes of words in %d of %d bytes, wanted %t", n, len(frame), room, wanted)
				}
				if !said && n > 0 && wanted && (room == 0 || int(room) >= ackOverhead+n) {
					t.Fatalf("%d bytes of words were left out of %d bytes of room", n, room)
				}
				p, err := mqtt.Parse(mqtt.V5, mqtt.Header{Type: mqtt.TypePuback, Remaining: len(frame) - 2, Minimal: true}, frame[2:])
				if err != nil || said != p.(*mqtt.Puback).Properties.Has(mqtt.PropReasonString) {
					t.Fatalf("% x: %v", frame, err)
				}
			}
		}
	}
	if c := (&conn{problemInfo: true}); c.reasonString(why+"w") != "" {
		t.Error("a Reason String of any length")
	}
}
