package broker

import (
	"github.com/sealmq/sealmq/mqtt"
)

// resolveAlias puts the Topic Name in place of a Topic Alias, or learns one [MQTT-3.3.2-7] to [MQTT-3.3.2-12]. Aliases
// belong to the connection and end with it.
func (c *conn) resolveAlias(p *mqtt.Publish) error {
	if !p.Properties.Has(mqtt.PropTopicAlias) {
		return nil
	}
	alias := p.Properties.TopicAlias
	if alias == 0 || alias > c.b.settings().TopicAliasMaximum {
		return refuse(errAliasInvalid, "MQTT-3.3.2-9", "topic alias above the maximum")
	}
	if p.Topic == "" {
		name, ok := c.aliasIn[alias]
		if !ok {
			return refuse(errProtocol, "MQTT-3.3.4-1", "unknown topic alias")
		}
		p.Topic = name
		return nil
	}
	if c.aliasIn == nil {
		c.aliasIn = make(map[uint16]string)
	}
	c.aliasIn[alias] = cloneString(p.Topic)
	return nil
}

// worthAlias is the length of a Topic Name, in bytes, from which an alias saves more than it costs.
const worthAlias = 4

// aliasTable gives Topic Aliases to outbound topics. It is used under the lock of the connection's buffer, because an
// alias is only valid after the packet that introduces it.
type aliasTable struct {
	max  uint16 // the client's Topic Alias Maximum, capped by ours [MQTT-3.1.2-26]
	byID map[string]uint16
}

// aliasCost is the most that a Topic Alias adds to a packet, in bytes: the property, and one byte more in each of the
// two lengths that grow with it.
const aliasCost = 3 + 2

// useAlias gives a copy of the given size an alias, unless the packet might then exceed the client's Maximum Packet Size
// [MQTT-3.1.2-24]. The lock of the buffer is held.
func (c *conn) useAlias(name string, f *copyFor, size int) {
	if c.maxPacket == 0 || size+aliasCost <= int(c.maxPacket) {
		c.aliasOut.use(name, f)
	}
}

// use sets the alias of a copy, when there is one to be had.
func (t *aliasTable) use(name string, f *copyFor) {
	if t.max == 0 || len(name) < worthAlias {
		return
	}
	if alias, ok := t.byID[name]; ok {
		f.alias, f.bare = alias, true
		return
	}
	if len(t.byID) >= int(t.max) {
		return
	}
	if t.byID == nil {
		t.byID = make(map[string]uint16)
	}
	f.alias = uint16(len(t.byID) + 1)
	t.byID[cloneString(name)] = f.alias
}
