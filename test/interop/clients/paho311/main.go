// Command paho311 tells the story of the interoperability tests with Eclipse Paho for Go, MQTT 3.1 and 3.1.1:
// paho311 PORT
package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const patience = 20 * time.Second

type message struct {
	topic, payload string
	qos            byte
	retained       bool
}

// A client is one connection whose messages wait in a channel.
type client struct {
	mqtt     mqtt.Client
	conn     net.Conn
	messages chan message
}

func done(t mqtt.Token) error {
	if !t.WaitTimeout(patience) {
		return errors.New("no acknowledgement in time")
	}
	return t.Error()
}

func open(port string, version uint, name string, stored bool, will string) (*client, error) {
	c := &client{messages: make(chan message, 16)}
	o := mqtt.NewClientOptions().AddBroker("tcp://127.0.0.1:" + port).SetClientID(name).SetProtocolVersion(version)
	o.SetCleanSession(!stored).SetAutoReconnect(false).SetConnectTimeout(patience)
	o.SetCustomOpenConnectionFn(func(uri *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
		conn, err := net.DialTimeout("tcp", uri.Host, patience)
		c.conn = conn
		return conn, err
	})
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		c.messages <- message{m.Topic(), string(m.Payload()), m.Qos(), m.Retained()}
	})
	if will != "" {
		o.SetWill(will, "gone", 1, false)
	}
	c.mqtt = mqtt.NewClient(o)
	return c, done(c.mqtt.Connect())
}

func (c *client) subscribe(topic string, qos byte) error {
	return done(c.mqtt.Subscribe(topic, qos, nil))
}

func (c *client) publish(topic, payload string, qos byte, retain bool) error {
	return done(c.mqtt.Publish(topic, qos, retain, payload))
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

func (c *client) close() { c.mqtt.Disconnect(100) }

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: paho311 PORT")
		os.Exit(2)
	}
	for _, version := range []uint{3, 4} {
		if err := story(os.Args[1], version); err != nil {
			fmt.Fprintf(os.Stderr, "version %d: %v\n", version, err)
			os.Exit(1)
		}
	}
	fmt.Println("ok")
}

func story(port string, version uint) error {
	prefix := fmt.Sprintf("interop/go/%d/", version)
	publisher, err := open(port, version, "go-publisher", false, "")
	if err != nil {
		return err
	}
	defer publisher.close()
	subscriber, err := open(port, version, "go-subscriber", false, "")
	if err != nil {
		return err
	}
	defer subscriber.close()
	for qos := range byte(3) {
		topic := fmt.Sprintf("%sqos/%d", prefix, qos)
		if err := errors.Join(
			subscriber.subscribe(topic, qos),
			publisher.publish(topic, "hello", qos, false),
			subscriber.want(message{topic, "hello", qos, false}),
		); err != nil {
			return err
		}
	}
	topic := prefix + "retained"
	if err := errors.Join(
		publisher.publish(topic, "kept", 1, true),
		subscriber.subscribe(topic, 1),
		subscriber.want(message{topic, "kept", 1, true}),
		publisher.publish(topic, "", 1, true),
		subscriber.want(message{topic, "", 1, false}),
	); err != nil {
		return err
	}
	if err := session(port, version, publisher, prefix+"stored"); err != nil {
		return err
	}
	topic = prefix + "will"
	if err := subscriber.subscribe(topic, 1); err != nil {
		return err
	}
	dying, err := open(port, version, "go-dying", false, topic)
	if err != nil {
		return err
	}
	return errors.Join(dying.conn.Close(), subscriber.want(message{topic, "gone", 1, false}))
}

func session(port string, version uint, publisher *client, topic string) error {
	fresh, err := open(port, version, "go-stored", false, "")
	if err != nil {
		return err
	}
	fresh.close()
	stored, err := open(port, version, "go-stored", true, "")
	if err != nil {
		return err
	}
	if err := stored.subscribe(topic, 2); err != nil {
		return err
	}
	stored.close()
	for n := range 3 {
		if err := publisher.publish(topic, fmt.Sprint(n), 2, false); err != nil {
			return err
		}
	}
	stored, err = open(port, version, "go-stored", true, "")
	if err != nil {
		return err
	}
	defer stored.close()
	for n := range 3 {
		if err := stored.want(message{topic, fmt.Sprint(n), 2, false}); err != nil {
			return err
		}
	}
	return nil
}
