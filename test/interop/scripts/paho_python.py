"""The story of the interoperability tests with Eclipse Paho for Python: paho_python.py PORT 3.1|3.1.1|5"""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PORT = int(sys.argv[1])
VERSION = {"3.1": mqtt.MQTTv31, "3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}[sys.argv[2]]
PREFIX = f"interop/python/{sys.argv[2]}/"
PATIENCE = 20


class Client:
    """One connection whose events are queues."""

    def __init__(self, name, stored=False, will=None):
        five = VERSION == mqtt.MQTTv5
        options = {} if five else {"clean_session": not stored}
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=VERSION, **options)
        self.connected, self.subscribed, self.messages = queue.Queue(), queue.Queue(), queue.Queue()
        self.client.on_connect = lambda c, u, flags, reason, p: self.connected.put((flags.session_present, reason.is_failure))
        self.client.on_subscribe = lambda c, u, mid, reasons, p: self.subscribed.put(reasons)
        self.client.on_message = lambda c, u, m: self.messages.put((m.topic, m.payload.decode(), m.qos, m.retain))
        if will:
            self.client.will_set(will, "gone", qos=1)
        options = {}
        if five:
            options["clean_start"] = not stored
            if stored:
                options["properties"] = Properties(PacketTypes.CONNECT)
                options["properties"].SessionExpiryInterval = 300
        self.client.connect("127.0.0.1", PORT, keepalive=30, **options)
        self.client.loop_start()
        self.present, refused = self.connected.get(timeout=PATIENCE)
        assert not refused, "connection refused"

    def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos)
        reasons = self.subscribed.get(timeout=PATIENCE)
        assert [r.value for r in reasons] == [qos], f"granted {reasons} for QoS {qos}"

    def publish(self, topic, payload, qos, retain=False):
        self.client.publish(topic, payload, qos, retain).wait_for_publish(PATIENCE)

    def want(self, *message):
        got = self.messages.get(timeout=PATIENCE)
        assert got == message, f"got {got}, want {message}"

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def main():
    publisher, subscriber = Client("python-publisher"), Client("python-subscriber")
    for qos in (0, 1, 2):
        topic = f"{PREFIX}qos/{qos}"
        subscriber.subscribe(topic, qos)
        publisher.publish(topic, "hello", qos)
        subscriber.want(topic, "hello", qos, False)

    publisher.publish(PREFIX + "retained", "kept", 1, retain=True)
    subscriber.subscribe(PREFIX + "retained", 1)
    subscriber.want(PREFIX + "retained", "kept", 1, True)
    publisher.publish(PREFIX + "retained", "", 1, retain=True)
    subscriber.want(PREFIX + "retained", "", 1, False)

    Client("python-stored").close()
    stored = Client("python-stored", stored=True)
    assert not stored.present, "a session was present that was never stored"
    stored.subscribe(PREFIX + "stored", 2)
    stored.close()
    for n in range(3):
        publisher.publish(PREFIX + "stored", str(n), 2)
    stored = Client("python-stored", stored=True)
    assert stored.present or VERSION == mqtt.MQTTv31, "the stored session is gone"
    for n in range(3):
        stored.want(PREFIX + "stored", str(n), 2, False)
    stored.close()

    subscriber.subscribe(PREFIX + "will", 1)
    dying = Client("python-dying", will=PREFIX + "will")
    dying.client.loop_stop()
    dying.client.socket().close()
    subscriber.want(PREFIX + "will", "gone", 1, False)

    publisher.close()
    subscriber.close()
    print("ok")


main()
