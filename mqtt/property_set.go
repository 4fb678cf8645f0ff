package mqtt

// Each method below stores a value and marks its property as present.

// SetPayloadFormat sets the Payload Format Indicator: 0 for unspecified bytes, 1 for UTF-8 text.
func (p *Properties) SetPayloadFormat(format byte) { p.setByte(PropPayloadFormat, format) }

// SetMessageExpiry sets the Message Expiry Interval.
func (p *Properties) SetMessageExpiry(seconds uint32) { p.setUint32(PropMessageExpiry, seconds) }

// SetContentType sets the Content Type.
func (p *Properties) SetContentType(s string) { p.setString(PropContentType, s) }

// SetResponseTopic sets the Response Topic, a Topic Name.
func (p *Properties) SetResponseTopic(name string) { p.setString(PropResponseTopic, name) }

// SetCorrelationData sets the Correlation Data; b is not copied.
func (p *Properties) SetCorrelationData(b []byte) { p.setBytes(PropCorrelationData, b) }

// SetSessionExpiry sets the Session Expiry Interval; 0xFFFFFFFF means never.
func (p *Properties) SetSessionExpiry(seconds uint32) { p.setUint32(PropSessionExpiry, seconds) }

// SetAssignedClientID sets the Assigned Client Identifier.
func (p *Properties) SetAssignedClientID(id string) { p.setString(PropAssignedClientID, id) }

// SetServerKeepAlive sets the Server Keep Alive.
func (p *Properties) SetServerKeepAlive(seconds uint16) { p.setUint16(PropServerKeepAlive, seconds) }

// SetAuthMethod sets the Authentication Method.
func (p *Properties) SetAuthMethod(method string) { p.setString(PropAuthMethod, method) }

// SetAuthData sets the Authentication Data; b is not copied.
func (p *Properties) SetAuthData(b []byte) { p.setBytes(PropAuthData, b) }

// SetRequestProblemInfo sets the Request Problem Information.
func (p *Properties) SetRequestProblemInfo(on bool) { p.setBool(PropRequestProblemInfo, on) }

// SetWillDelay sets the Will Delay Interval.
func (p *Properties) SetWillDelay(seconds uint32) { p.setUint32(PropWillDelay, seconds) }

// SetRequestResponseInfo sets the Request Response Information.
func (p *Properties) SetRequestResponseInfo(on bool) { p.setBool(PropRequestResponseInfo, on) }

// SetResponseInfo sets the Response Information.
func (p *Properties) SetResponseInfo(s string) { p.setString(PropResponseInfo, s) }

// SetServerReference sets the Server Reference.
func (p *Properties) SetServerReference(s string) { p.setString(PropServerReference, s) }

// SetReasonString sets the Reason String; it is for people and must not tell a peer about internals.
func (p *Properties) SetReasonString(s string) { p.setString(PropReasonString, s) }

// SetReceiveMaximum sets the Receive Maximum, which must be positive.
func (p *Properties) SetReceiveMaximum(n uint16) { p.setUint16(PropReceiveMaximum, n) }

// SetTopicAliasMaximum sets the Topic Alias Maximum.
func (p *Properties) SetTopicAliasMaximum(n uint16) { p.setUint16(PropTopicAliasMaximum, n) }

// SetTopicAlias sets the Topic Alias, which must be positive.
func (p *Properties) SetTopicAlias(alias uint16) { p.setUint16(PropTopicAlias, alias) }

// SetMaximumQoS sets the Maximum QoS, 0 or 1; a server that supports 2 leaves it out.
func (p *Properties) SetMaximumQoS(q QoS) { p.setByte(PropMaximumQoS, byte(q)) }

// SetRetainAvailable sets the Retain Available flag.
func (p *Properties) SetRetainAvailable(on bool) { p.setBool(PropRetainAvailable, on) }

// SetMaximumPacketSize sets the Maximum Packet Size in bytes, which must be positive.
func (p *Properties) SetMaximumPacketSize(n uint32) { p.setUint32(PropMaximumPacketSize, n) }

// SetWildcardAvailable sets the Wildcard Subscription Available flag.
func (p *Properties) SetWildcardAvailable(on bool) { p.setBool(PropWildcardAvailable, on) }

// SetSubscriptionIDAvailable sets the Subscription Identifier Available flag.
func (p *Properties) SetSubscriptionIDAvailable(on bool) { p.setBool(PropSubscriptionIDAvailable, on) }

// SetSharedAvailable sets the Shared Subscription Available flag.
func (p *Properties) SetSharedAvailable(on bool) { p.setBool(PropSharedAvailable, on) }

// AddSubscriptionID adds a Subscription Identifier, 1 to 268,435,455.
func (p *Properties) AddSubscriptionID(id uint32) {
	p.SubscriptionIDs = append(p.SubscriptionIDs, id)
	p.Present |= 1 << PropSubscriptionID
}

// AddUser adds a User Property after those already there.
func (p *Properties) AddUser(key, value string) {
	p.User = append(p.User, UserProperty{key, value})
	p.Present |= 1 << PropUser
}

// Remove takes a property away, all of its values if it may repeat.
func (p *Properties) Remove(id Property) {
	if !p.Has(id) {
		return
	}
	p.Present &^= 1 << id
	switch propertyTable[id].kind {
	case kindBool:
		*p.byteField(id) = 0
	case kindUint16, kindUint16Positive:
		*p.uint16Field(id) = 0
	case kindUint32, kindUint32Positive:
		*p.uint32Field(id) = 0
	case kindText, kindTopic:
		*p.stringField(id) = ""
	case kindBinary:
		*p.bytesField(id) = nil
	case kindSubscriptionID:
		p.SubscriptionIDs = p.SubscriptionIDs[:0]
	case kindUser:
		clear(p.User)
		p.User = p.User[:0]
	}
}
