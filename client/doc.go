// Package client is an MQTT client for versions 3.1, 3.1.1 and 5.0.
//
// A [Client] keeps one Network Connection to a server alive: it connects, keeps its half of the Session (what was
// published and not yet acknowledged, what was received and not yet released, which Topic Filters are subscribed),
// reconnects with a growing random delay, and continues where it was. Messages given to it while there is no connection
// wait in a bounded queue.
//
//	c, err := client.Dial(ctx, client.Config{Server: "mqtts://broker.example", ClientID: "dev-7"})
//	if err != nil {
//		return err
//	}
//	defer c.Close(context.Background())
//	err = c.Publish(ctx, &client.Message{Topic: "plant/2/temp", Payload: []byte("21.5"), QoS: mqtt.AtLeastOnce})
//
// Inbound messages are handed to Config.Handler one after the other, or taken with [Client.Receive] or
// [Client.Messages]. They are acknowledged in the order in which they came [MQTT-4.6.0-2] [MQTT-4.6.0-3], either when
// handled or, with Config.ManualAcks, when the program calls [Message.Ack].
//
// What is refused is an error with the server's reason code: [*ConnackError], [*DisconnectError], [*PublishError],
// [*SubscribeError]; what could not be reached is a [*ConnectError].
//
// All methods of a Client may be called by any number of goroutines at once.
package client
