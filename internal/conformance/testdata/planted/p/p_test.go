package p

import (
	"testing"

	proof "github.com/sealmq/sealmq/internal/conformance"
)

func TestOne(t *testing.T) {
	proof.Covers(t, "MQTT-1.0.0-1", "MQTT-1.0.0-2")
	t.Run("again", func(t *testing.T) { proof.Covers(t, "MQTT-1.0.0-1") })
}

// TestTwo cites [MQTT-9.9.9-3], which is nowhere.
func TestTwo(t *testing.T) {
	proof.Covers(t, "MQTT311-1.0.0-1", "MQTT-9.9.9-1")
}

func FuzzFour(f *testing.F) {
	proof.Covers(f, `MQTT-1.0.0-1`)
}

func declare(t *testing.T) {
	proof.Covers(t, "MQTT-1.0.0-1")
}

func TestThree(t *testing.T) {
	id := "MQTT-1.0.0-1"
	proof.Covers(t, id)
	proof.Covers(t)
}
