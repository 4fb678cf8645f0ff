package p

// A cites a statement [MQTT-1.0.0-3].
func A() {
	// [MQTT-9.9.9-2] is nowhere.

	// [MQTT-1.0] is none, and a link such as [MQTT 5] is not meant.
}
