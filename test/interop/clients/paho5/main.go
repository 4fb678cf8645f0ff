// Command paho5 tells the story of the interoperability tests with Eclipse Paho for Go, MQTT 5: paho5 PORT
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

const patience = 20 * time.Second

type message struct {
	topic, payload string
	qos            byte
	retained       bool
	user           string // the value of the user property "k"
}

// A client is one connection whose messages wait in a channel.
type client struct {
	mqtt     *paho.Client
	conn     net.Conn
	present  bool
	messages chan message
}

func limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func open(port, name string, stored bool, will string) (*client, error) {
	ctx, cancel := limited()
	defer cancel()
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, patience)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, messages: make(chan message, 16)}
	c.mqtt = paho.NewClient(paho.ClientConfig{
		ClientID: name,
		Conn:     conn,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			p := r.Packet
			c.messages <- message{p.Topic, string(p.Payload), p.QoS, p.Retain, p.Properties.User.Get("k")}
			return true, nil
		}},
	})
	connect := &paho.Connect{ClientID: name, KeepAlive: 30, CleanStart: !stored, Properties: &paho.ConnectProperties{}}
	if stored {
		expiry := uint32(300)
		connect.Properties.SessionExpiryInterval = &expiry
	}
	if will != "" {
		connect.WillMessage = &paho.WillMessage{Topic: will, Payload: []byte("gone"), QoS: 1}
	}
	ack, err := c.mqtt.Connect(ctx, connect)
	if err != nil {
		return nil, err
	}
	c.present = ack.SessionPresent
	return c, nil
}

func (c *client) subscribe(topic string, qos byte) error {
	ctx, cancel := limited()
	defer cancel()
	ack, err := c.mqtt.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: qos}}})
	if err == nil && (len(ack.Reasons) != 1 || ack.Reasons[0] != qos) {
		err = fmt.Errorf("granted %v for QoS %d", ack.Reasons, qos)
	}
	return err
}

func (c *client) publish(topic, payload string, qos byte, retain bool) error {
	ctx, cancel := limited()
	defer cancel()
	properties := &paho.PublishProperties{User: paho.UserProperties{{Key: "k", Value: "v"}}}
	_, err := c.mqtt.Publish(ctx, &paho.Publish{Topic: topic, Payload: []byte(payload), QoS: qos, Retain: retain, Properties: properties})
	return err
}

func (c *client) want(w message) error {
	select {
	case got := <-c.messages:
		if got != w {
			return fmt.Errorf("got %+v, want %+v", got, w)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("no %+v in time", w)
	}
}

func (c *client) close() error { return c.mqtt.Disconnect(&paho.Disconnect{}) }

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: paho5 PORT")
		os.Exit(2)
	}
	if err := story(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

func story(port string) error {
	const prefix = "interop/go/5/"
	publisher, err := open(port, "go5-publisher", false, "")
	if err != nil {
		return err
	}
	subscriber, err := open(port, "go5-subscriber", false, "")
	if err != nil {
		return err
	}
	for qos := range byte(3) {
		topic := fmt.Sprintf("%sqos/%d", prefix, qos)
		if err := errors.Join(
			subscriber.subscribe(topic, qos),
			publisher.publish(topic, "hello", qos, false),
			subscriber.want(message{topic, "hello", qos, false, "v"}),
		); err != nil {
			return err
		}
	}
	if err := errors.Join(
		publisher.publish(prefix+"retained", "kept", 1, true),
		subscriber.subscribe(prefix+"retained", 1),
		subscriber.want(message{prefix + "retained", "kept", 1, true, "v"}),
		publisher.publish(prefix+"retained", "", 1, true),
		subscriber.want(message{prefix + "retained", "", 1, false, "v"}),
	); err != nil {
		return err
	}
	if err := session(port, publisher, prefix+"stored"); err != nil {
		return err
	}
	if err := subscriber.subscribe(prefix+"will", 1); err != nil {
		return err
	}
	dying, err := open(port, "go5-dying", false, prefix+"will")
	if err != nil {
		return err
	}
	return errors.Join(
		dying.conn.Close(),
		subscriber.want(message{prefix + "will", "gone", 1, false, ""}),
		publisher.close(),
		subscriber.close(),
	)
}

func session(port string, publisher *client, topic string) error {
	fresh, err := open(port, "go5-stored", false, "")
	if err != nil {
		return err
	}
	if err := fresh.close(); err != nil {
		return err
	}
	stored, err := open(port, "go5-stored", true, "")
	if err != nil {
		return err
	}
	if err := errors.Join(stored.subscribe(topic, 2), stored.close()); err != nil {
		return err
	}
	for n := range 3 {
		if err := publisher.publish(topic, fmt.Sprint(n), 2, false); err != nil {
			return err
		}
	}
	stored, err = open(port, "go5-stored", true, "")
	if err != nil {
		return err
	}
	if !stored.present {
		return errors.New("the stored session is gone")
	}
	for n := range 3 {
		if err := stored.want(message{topic, fmt.Sprint(n), 2, false, "v"}); err != nil {
			return err
		}
	}
	return stored.close()
}
