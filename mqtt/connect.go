package mqtt

import (
	"fmt"
	"log/slog"
	"strings"
)

// Connect is the first packet of a connection, MQTT 5 §3.1.
type Connect struct {
	ProtocolVersion Version
	Bridge          bool   // bit 7 of the Protocol Level, with which bridges of mosquitto mark themselves before version 5
	CleanStart      bool   // Clean Session before version 5
	KeepAlive       uint16 // seconds; 0 turns it off
	ClientID        string
	HasUsername     bool
	Username        string
	HasPassword     bool
	Password        []byte `json:"-"` // a secret: printing a Connect leaves it out
	HasWill         bool
	Will            Will
	Properties      Properties // version 5

	// CredentialPrefix is set by Parse when there is a Password: the bytes from the first of the variable header up
	// to, not including, the two length bytes of the Password. A sealed credential is bound to them.
	CredentialPrefix []byte
}

// Will is the Will Message of a CONNECT, MQTT 5 §3.1.2.5.
type Will struct {
	QoS        QoS
	Retain     bool
	Topic      string
	Payload    []byte
	Properties Properties // version 5
}

const (
	connectReserved   = 0x01
	connectCleanStart = 0x02
	connectWill       = 0x04
	connectWillQoS    = 0x18
	connectWillRetain = 0x20
	connectPassword   = 0x40
	connectUsername   = 0x80

	levelBridge = 0x80
)

// Type returns TypeConnect.
func (*Connect) Type() PacketType { return TypeConnect }

// Parse implements Packet. The version is what the packet says, whatever v is. ProtocolVersion is set as soon as it is
// known, also when the packet is refused afterwards, so that a server can answer in the right form; it is 0 when the
// Protocol Name is unknown, and may be a level that does not exist.
func (c *Connect) Parse(v Version, flags byte, body []byte) error {
	*c = Connect{Properties: c.Properties, Will: Will{Properties: c.Will.Properties}}
	c.Properties.Reset()
	c.Will.Properties.Reset()
	if err := checkFlags(TypeConnect, flags, v); err != nil {
		return err
	}
	d := decoder{b: body}
	c.parseProtocol(&d)
	connectFlags := d.byte("Connect Flags")
	c.parseFlags(&d, connectFlags)
	c.KeepAlive = d.uint16("Keep Alive")
	if c.ProtocolVersion == V5 {
		c.Properties.parse(&d, TypeConnect)
		if c.Properties.Has(PropAuthData) && !c.Properties.Has(PropAuthMethod) {
			d.fail(ProtocolError, "", "MQTT 5 §3.1.2.11.10", "Authentication Data without Authentication Method")
		}
	}
	c.ClientID = d.text("Client Identifier")
	if c.HasWill {
		c.parseWill(&d)
	}
	c.parseCredentials(&d, body)
	if c.ClientID == "" && (d.v == V31 || d.v == V311 && !c.CleanStart) {
		d.fail(ClientIdentifierNotValid, "MQTT-3.1.3-8", "", "empty Client Identifier")
	}
	return d.finish()
}

// parseProtocol reads Protocol Name and Protocol Level. A level that does not exist is version 5's to answer.
func (c *Connect) parseProtocol(d *decoder) {
	name := d.binary("Protocol Name")
	level := d.byte("Protocol Level")
	if d.err != nil {
		return
	}
	known := string(name) == "MQTT" || string(name) == "MQIsdp"
	if !known {
		d.fail(UnsupportedProtocolVersion, "MQTT-3.1.2-1", "", "unknown Protocol Name")
		return
	}
	if level == levelBridge|byte(V31) || level == levelBridge|byte(V311) {
		c.Bridge = true
		level &^= levelBridge
	}
	c.ProtocolVersion, d.v = Version(level), Version(level)
	if string(name) == "MQIsdp" != (d.v == V31) || d.v < V31 || d.v > V5 {
		d.fail(UnsupportedProtocolVersion, "MQTT-3.1.2-2", "MQTT-3.1.2-2", "unsupported Protocol Level")
	}
}

// parseFlags reads the Connect Flags, MQTT 5 §3.1.2.3. 3.1 leaves bit 0 and the will bits without Will Flag undefined.
func (c *Connect) parseFlags(d *decoder, flags byte) {
	c.CleanStart = flags&connectCleanStart != 0
	c.HasWill = flags&connectWill != 0
	c.HasPassword = flags&connectPassword != 0
	c.HasUsername = flags&connectUsername != 0
	if flags&connectReserved != 0 && d.v != V31 {
		d.fail(MalformedPacket, "MQTT-3.1.2-3", "MQTT-3.1.2-3", "reserved Connect Flag")
	}
	willQoS := QoS(flags & connectWillQoS >> 3)
	switch {
	case c.HasWill:
		c.Will.QoS, c.Will.Retain = willQoS, flags&connectWillRetain != 0
		if willQoS > ExactlyOnce {
			d.fail(MalformedPacket, "MQTT-3.1.2-14", "MQTT-3.1.2-12", "Will QoS 3")
		}
	case d.v == V31:
	case willQoS != 0:
		d.fail(MalformedPacket, "MQTT-3.1.2-13", "MQTT-3.1.2-11", "Will QoS without Will Flag")
	case flags&connectWillRetain != 0:
		d.fail(MalformedPacket, "MQTT-3.1.2-15", "MQTT-3.1.2-13", "Will Retain without Will Flag")
	}
	if c.HasPassword && !c.HasUsername && d.v != V5 {
		d.fail(MalformedPacket, "MQTT-3.1.2-22", "", "Password without User Name")
	}
}

// parseWill reads Will Properties, Will Topic and Will Payload.
func (c *Connect) parseWill(d *decoder) {
	if d.v == V5 {
		c.Will.Properties.parse(d, typeWill)
	}
	c.Will.Topic = d.topicName("Will Topic")
	if c.Will.Topic == "" {
		d.fail(TopicNameInvalid, "MQTT-4.7.3-1", "MQTT-4.7.3-1", "empty Will Topic")
	}
	c.Will.Payload = d.binary("Will Payload")
}

// parseCredentials reads User Name and Password. A 3.1 packet may end before either of them, whatever its flags say
// (MQTT 3.1 §3.1): the Remaining Length takes precedence.
func (c *Connect) parseCredentials(d *decoder, body []byte) {
	if d.v == V31 && len(d.b) == 0 {
		c.HasUsername, c.HasPassword = false, false
	}
	if c.HasUsername {
		c.Username = d.text("User Name")
	}
	if d.v == V31 && len(d.b) == 0 {
		c.HasPassword = false
	}
	if c.HasPassword {
		prefix := len(body) - len(d.b)
		c.Password = d.binary("Password")
		c.CredentialPrefix = body[:prefix:prefix]
	}
}

// Append implements Packet. The version written is ProtocolVersion, or v when that is 0; if both are given they must
// agree.
func (c *Connect) Append(dst []byte, v Version) ([]byte, error) {
	parts, err := c.measure(v)
	if err != nil {
		return dst, err
	}
	dst = AppendHeader(dst, TypeConnect, 0, parts.total)
	dst = c.appendPrefix(dst, parts)
	if c.HasPassword {
		dst = appendBinary(dst, c.Password)
	}
	return dst, nil
}

// AppendCredentialPrefix appends what CredentialPrefix will be at the receiver of this packet. It does not depend on
// the Password, which therefore may be computed from it; HasPassword must be set.
func (c *Connect) AppendCredentialPrefix(dst []byte, v Version) ([]byte, error) {
	parts, err := c.measure(v)
	if err != nil {
		return dst, err
	}
	if !c.HasPassword {
		return dst, refuse(ProtocolError, "MQTT 5 §3.1.2.9", "credential prefix of a CONNECT without Password")
	}
	return c.appendPrefix(dst, parts), nil
}

// connectParts is what must be known about a CONNECT before it is written.
type connectParts struct {
	v                Version
	total            int // Remaining Length
	props, willProps int // lengths of the properties
}

// measure checks the fields and computes the lengths.
func (c *Connect) measure(v Version) (connectParts, error) {
	parts := connectParts{v: c.ProtocolVersion}
	if parts.v == 0 {
		parts.v = v
	}
	var s sizer
	if parts.v < V31 || parts.v > V5 || v != 0 && v != parts.v || c.Bridge && parts.v == V5 {
		s.fail(UnsupportedProtocolVersion, "MQTT-3.1.2-2", "CONNECT of no or of two versions")
	}
	s.n = 2 + len(protocolName(parts.v)) + 1 + 1 + 2
	if parts.v == V5 {
		parts.props = s.properties(&c.Properties, TypeConnect)
		if c.Properties.Has(PropAuthData) && !c.Properties.Has(PropAuthMethod) {
			s.fail(ProtocolError, "MQTT 5 §3.1.2.11.10", "Authentication Data without Authentication Method")
		}
	}
	s.field(len(c.ClientID), "Client Identifier")
	if c.ClientID == "" && (parts.v == V31 || parts.v == V311 && !c.CleanStart) {
		s.fail(ClientIdentifierNotValid, "MQTT-3.1.3-8", "empty Client Identifier")
	}
	if c.HasWill {
		if parts.v == V5 {
			parts.willProps = s.properties(&c.Will.Properties, typeWill)
		}
		if c.Will.Topic == "" {
			s.fail(TopicNameInvalid, "MQTT-4.7.3-1", "empty Will Topic")
		}
		if c.Will.QoS > ExactlyOnce {
			s.fail(ProtocolError, "MQTT-3.1.2-12", "Will QoS above 2")
		}
		s.field(len(c.Will.Topic), "Will Topic")
		s.field(len(c.Will.Payload), "Will Payload")
	}
	if c.HasUsername {
		s.field(len(c.Username), "User Name")
	}
	if c.HasPassword {
		s.field(len(c.Password), "Password")
		if !c.HasUsername && parts.v != V5 {
			s.fail(ProtocolError, "MQTT-3.1.2-22", "Password without User Name")
		}
	}
	parts.total = s.n
	return parts, s.finish()
}

// appendPrefix writes everything of the body but the Password.
func (c *Connect) appendPrefix(dst []byte, parts connectParts) []byte {
	level := byte(parts.v)
	if c.Bridge {
		level |= levelBridge
	}
	dst = appendString(dst, protocolName(parts.v))
	dst = append(dst, level, c.flags())
	dst = appendUint16(dst, c.KeepAlive)
	if parts.v == V5 {
		dst = c.Properties.append(dst, parts.props)
	}
	dst = appendString(dst, c.ClientID)
	if c.HasWill {
		if parts.v == V5 {
			dst = c.Will.Properties.append(dst, parts.willProps)
		}
		dst = appendString(dst, c.Will.Topic)
		dst = appendBinary(dst, c.Will.Payload)
	}
	if c.HasUsername {
		dst = appendString(dst, c.Username)
	}
	return dst
}

// flags is the Connect Flags byte.
func (c *Connect) flags() byte {
	var b byte
	if c.CleanStart {
		b |= connectCleanStart
	}
	if c.HasWill {
		b |= connectWill | byte(c.Will.QoS)<<3
		if c.Will.Retain {
			b |= connectWillRetain
		}
	}
	if c.HasPassword {
		b |= connectPassword
	}
	if c.HasUsername {
		b |= connectUsername
	}
	return b
}

// protocolName is the Protocol Name of a version [MQTT-3.1.2-1].
func protocolName(v Version) string {
	if v == V31 {
		return "MQIsdp"
	}
	return "MQTT"
}

// Clone returns a copy that shares no memory with c.
func (c *Connect) Clone() *Connect {
	k := *c
	k.ClientID = strings.Clone(c.ClientID)
	k.Username = strings.Clone(c.Username)
	k.Password = cloneBytes(c.Password)
	k.Properties = c.Properties.Clone()
	k.Will.Topic = strings.Clone(c.Will.Topic)
	k.Will.Payload = cloneBytes(c.Will.Payload)
	k.Will.Properties = c.Will.Properties.Clone()
	k.CredentialPrefix = cloneBytes(c.CredentialPrefix)
	return &k
}

// summary is what may be printed: no Password, no Authentication Data, no payload.
func (c Connect) summary() string {
	return fmt.Sprintf("CONNECT %s client %q user %q clean %t will %t", c.ProtocolVersion, c.ClientID, c.Username,
		c.CleanStart, c.HasWill)
}

// Format implements fmt.Formatter for every verb, so that no way of printing shows the Password. Like LogValue it is a
// method of the value, so that printing a copy is covered, too.
func (c Connect) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.summary())) }

// LogValue implements slog.LogValuer, without the Password.
func (c Connect) LogValue() slog.Value { return slog.StringValue(c.summary()) }
