"""Connects with Paho and a Password of raw bytes.

Usage: login.py PORT VERSION CLIENT-ID USER-NAME PASSWORD, VERSION 311 or 5, the password in hexadecimal. Prints the code of
the CONNACK; after an accepted one publishes "from paho" to login/CLIENT-ID with QoS 1 and prints "published".
"""
import sys
import paho.mqtt.client as mqtt

port, version, client_id, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], bytes.fromhex(sys.argv[5])
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol={"311": mqtt.MQTTv311, "5": mqtt.MQTTv5}[version], reconnect_on_failure=False)
client.username_pw_set(user, password)


def on_connect(c, _userdata, _flags, reason, _properties):
    print(reason.value, flush=True)
    if reason.value:
        c.disconnect()
    else:
        c.publish("login/" + client_id, "from paho", qos=1)


def on_publish(c, *_):
    print("published", flush=True)
    c.disconnect()


client.on_connect, client.on_publish = on_connect, on_publish
client.connect("127.0.0.1", port)
client.loop_forever()
