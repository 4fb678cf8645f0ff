package mqtt

// The functions below say where the value of a property lives. Each serves one data type of propertyTable and must
// know every property of that type; a test walks the table.

func (p *Properties) byteField(id Property) *byte {
	switch id {
	case PropPayloadFormat:
		return &p.PayloadFormat
	case PropRequestProblemInfo:
		return &p.RequestProblemInfo
	case PropRequestResponseInfo:
		return &p.RequestResponseInfo
	case PropMaximumQoS:
		return &p.MaximumQoS
	case PropRetainAvailable:
		return &p.RetainAvailable
	case PropWildcardAvailable:
		return &p.WildcardAvailable
	case PropSubscriptionIDAvailable:
		return &p.SubscriptionIDAvailable
	case PropSharedAvailable:
		return &p.SharedAvailable
	}
	return nil
}

func (p *Properties) uint16Field(id Property) *uint16 {
	switch id {
	case PropServerKeepAlive:
		return &p.ServerKeepAlive
	case PropReceiveMaximum:
		return &p.ReceiveMaximum
	case PropTopicAliasMaximum:
		return &p.TopicAliasMaximum
	case PropTopicAlias:
		return &p.TopicAlias
	}
	return nil
}

func (p *Properties) uint32Field(id Property) *uint32 {
	switch id {
	case PropMessageExpiry:
		return &p.MessageExpiry
	case PropSessionExpiry:
		return &p.SessionExpiry
	case PropWillDelay:
		return &p.WillDelay
	case PropMaximumPacketSize:
		return &p.MaximumPacketSize
	}
	return nil
}

func (p *Properties) stringField(id Property) *string {
	switch id {
	case PropContentType:
		return &p.ContentType
	case PropResponseTopic:
		return &p.ResponseTopic
	case PropAssignedClientID:
		return &p.AssignedClientID
	case PropAuthMethod:
		return &p.AuthMethod
	case PropResponseInfo:
		return &p.ResponseInfo
	case PropServerReference:
		return &p.ServerReference
	case PropReasonString:
		return &p.ReasonString
	}
	return nil
}

func (p *Properties) bytesField(id Property) *[]byte {
	switch id {
	case PropCorrelationData:
		return &p.CorrelationData
	case PropAuthData:
		return &p.AuthData
	}
	return nil
}

func (p *Properties) setByte(id Property, x byte) {
	*p.byteField(id) = x
	p.Present |= 1 << id
}

// setBool stores a boolean as the standard's 0 or 1.
func (p *Properties) setBool(id Property, on bool) {
	var x byte
	if on {
		x = 1
	}
	p.setByte(id, x)
}

func (p *Properties) setUint16(id Property, x uint16) {
	*p.uint16Field(id) = x
	p.Present |= 1 << id
}

func (p *Properties) setUint32(id Property, x uint32) {
	*p.uint32Field(id) = x
	p.Present |= 1 << id
}

func (p *Properties) setString(id Property, s string) {
	*p.stringField(id) = s
	p.Present |= 1 << id
}

func (p *Properties) setBytes(id Property, b []byte) {
	*p.bytesField(id) = b
	p.Present |= 1 << id
}
