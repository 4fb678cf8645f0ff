package mqtt

import "strconv"

// Version is a protocol version by its Protocol Level [MQTT-3.1.2-2]. The zero value means not known yet.
type Version byte

// The versions of the protocol. In comparisons, a later version is greater.
const (
	V31  Version = 3 // MQTT 3.1, Protocol Name MQIsdp
	V311 Version = 4 // MQTT 3.1.1
	V5   Version = 5 // MQTT 5.0
)

// String returns the version as the standards write it.
func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	default:
		return "unknown version " + strconv.Itoa(int(v))
	}
}

// QoS is a quality of service level, MQTT 5 §4.3.
type QoS byte

// The quality of service levels.
const (
	AtMostOnce  QoS = 0
	AtLeastOnce QoS = 1
	ExactlyOnce QoS = 2
)

// PacketID is a Packet Identifier. 0 is invalid [MQTT-2.2.1-3].
type PacketID uint16

// PacketType is an MQTT Control Packet type, MQTT 5 §2.1.2. The zero value is reserved by the standard.
type PacketType byte

// The control packet types.
const (
	TypeConnect     PacketType = 1
	TypeConnack     PacketType = 2
	TypePublish     PacketType = 3
	TypePuback      PacketType = 4
	TypePubrec      PacketType = 5
	TypePubrel      PacketType = 6
	TypePubcomp     PacketType = 7
	TypeSubscribe   PacketType = 8
	TypeSuback      PacketType = 9
	TypeUnsubscribe PacketType = 10
	TypeUnsuback    PacketType = 11
	TypePingreq     PacketType = 12
	TypePingresp    PacketType = 13
	TypeDisconnect  PacketType = 14
	TypeAuth        PacketType = 15 // version 5 only
)

var packetTypeNames = [16]string{
	"RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// String returns the name the standard uses, such as "CONNECT".
func (t PacketType) String() string {
	if int(t) < len(packetTypeNames) {
		return packetTypeNames[t]
	}
	return "packet type " + strconv.Itoa(int(t))
}
