package mqtt_test

import (
	"errors"
	"fmt"

	"github.com/sealmq/sealmq/mqtt"
)

// A packet is appended to a buffer, and parsed from one.
func Example() {
	p := mqtt.Publish{Topic: "kitchen/temperature", Payload: []byte("21.5")}
	p.Properties.SetMessageExpiry(60)
	buf, err := p.Append(nil, mqtt.V5)
	if err != nil {
		fmt.Println(err)
		return
	}

	h, n, err := mqtt.ParseHeader(buf, mqtt.V5)
	if err != nil || n == 0 || len(buf) < n+h.Remaining {
		fmt.Println("more bytes needed, or", err)
		return
	}
	got, err := mqtt.Parse(mqtt.V5, h, buf[n:n+h.Remaining])
	if err != nil {
		fmt.Println(err)
		return
	}
	pub := got.(*mqtt.Publish)
	fmt.Println(pub.Type(), pub.Topic, string(pub.Payload), pub.Properties.MessageExpiry)
	// Output: PUBLISH kitchen/temperature 21.5 60
}

// A refusal says what to answer and why.
func ExampleError() {
	frame := []byte("\x30\x05\x00\x03a/+")
	h, n, err := mqtt.ParseHeader(frame, mqtt.V311)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = mqtt.Parse(mqtt.V311, h, frame[n:])
	fmt.Println(err)
	fmt.Println(errors.Is(err, &mqtt.Error{Code: mqtt.TopicNameInvalid}))
	// Output:
	// Topic Name has a wildcard character: 0x90 Topic Name invalid [MQTT-3.3.2-2]
	// true
}
