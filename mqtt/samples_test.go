package mqtt

import (
	"strings"
)

// versions are all versions a packet can be in.
var versions = []Version{V31, V311, V5}

// frame builds a packet from its first byte and the parts of its body.
func frame(first byte, parts ...string) []byte {
	body := strings.Join(parts, "")
	return append(AppendHeader(nil, PacketType(first>>4), first&0xF, len(body)), body...)
}

// lp puts the two length bytes of a string or of binary data in front of s.
func lp(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

// props returns properties that set(p) fills in.
func props(set func(p *Properties)) Properties {
	var p Properties
	set(&p)
	return p
}

func messageProperties(p *Properties) {
	p.SetPayloadFormat(1)
	p.SetMessageExpiry(3600)
	p.SetContentType("application/json")
	p.SetResponseTopic("reply/to/me")
	p.SetCorrelationData([]byte{0, 1, 0xFF})
	p.AddUser("k", "v1")
	p.AddUser("k", "v2")
	p.AddUser("", "")
}

func reasonProperties(p *Properties) {
	p.SetReasonString("because")
	p.AddUser("trace", "7")
}

// samples returns valid packets of every type that exists in version v, from the smallest to the fullest.
func samples(v Version) []Packet {
	list := []Packet{
		&Connect{ProtocolVersion: v, CleanStart: true, ClientID: "c"},
		&Connect{
			ProtocolVersion: v, KeepAlive: 65535, ClientID: "id (with) [brackets]", HasUsername: true, Username: "ü",
			HasPassword: true, Password: []byte{0, 1}, HasWill: true,
			Will: Will{QoS: ExactlyOnce, Retain: true, Topic: "w/t", Payload: []byte("gone")},
		},
		&Connack{},
		&Connack{ReasonCode: NotAuthorized},
		&Publish{Topic: "a"},
		&Publish{Topic: "a/b", QoS: AtLeastOnce, PacketID: 1, Dup: true, Retain: true, Payload: []byte("payload")},
		&Publish{Topic: "söme/日本/😀", QoS: ExactlyOnce, PacketID: 65535, Payload: make([]byte, 300)},
		&Puback{PacketID: 1}, &Pubrec{PacketID: 2}, &Pubrel{PacketID: 3}, &Pubcomp{PacketID: 65535},
		&Subscribe{PacketID: 9, Subscriptions: []Subscription{{Filter: "a/+"}, {Filter: "#", QoS: ExactlyOnce}}},
		&Suback{PacketID: 9, ReasonCodes: []ReasonCode{GrantedQoS0, GrantedQoS1, GrantedQoS2, UnspecifiedError}},
		&Unsubscribe{PacketID: 10, Filters: []string{"a/+", "#"}},
		&Pingreq{}, &Pingresp{}, &Disconnect{},
	}
	if v != V31 {
		list = append(list, &Connack{SessionPresent: true})
	}
	if v != V5 {
		return append(list, &Unsuback{PacketID: 10},
			&Connect{ProtocolVersion: v, Bridge: true, CleanStart: true, ClientID: "bridge"})
	}
	return append(list, samplesV5()...)
}

func samplesV5() []Packet {
	reason := props(reasonProperties)
	return []Packet{
		&Connect{
			ProtocolVersion: V5, HasPassword: true, Password: []byte("token"), HasWill: true,
			Properties: props(func(p *Properties) {
				p.SetSessionExpiry(0xFFFFFFFF)
				p.SetReceiveMaximum(10)
				p.SetMaximumPacketSize(1 << 20)
				p.SetTopicAliasMaximum(16)
				p.SetRequestResponseInfo(true)
				p.SetRequestProblemInfo(false)
				p.SetAuthMethod("SCRAM-SHA-256")
				p.SetAuthData([]byte("n,,"))
				p.AddUser("a", "b")
			}),
			Will: Will{Topic: "w", Properties: props(func(p *Properties) {
				messageProperties(p)
				p.SetWillDelay(30)
			})},
		},
		&Connack{Properties: props(func(p *Properties) {
			reasonProperties(p)
			p.SetSessionExpiry(7)
			p.SetReceiveMaximum(100)
			p.SetMaximumQoS(AtLeastOnce)
			p.SetRetainAvailable(true)
			p.SetMaximumPacketSize(4096)
			p.SetAssignedClientID("auto-1")
			p.SetTopicAliasMaximum(5)
			p.SetWildcardAvailable(true)
			p.SetSubscriptionIDAvailable(false)
			p.SetSharedAvailable(true)
			p.SetServerKeepAlive(60)
			p.SetResponseInfo("r")
			p.SetServerReference("other")
			p.SetAuthMethod("m")
			p.SetAuthData(nil)
		})},
		&Publish{QoS: AtLeastOnce, PacketID: 5, Properties: props(func(p *Properties) {
			messageProperties(p)
			p.SetTopicAlias(3)
			p.AddSubscriptionID(1)
			p.AddSubscriptionID(MaxRemainingLength)
		})},
		&Puback{PacketID: 1, ReasonCode: NoMatchingSubscribers},
		&Puback{PacketID: 1, ReasonCode: QuotaExceeded, Properties: reason},
		&Pubrec{PacketID: 1, Properties: reason},
		&Pubrel{PacketID: 1, ReasonCode: PacketIdentifierNotFound, Properties: reason},
		&Pubcomp{PacketID: 1, ReasonCode: PacketIdentifierNotFound},
		&Subscribe{
			PacketID: 2, Properties: props(func(p *Properties) {
				p.AddSubscriptionID(77)
				p.AddUser("a", "b")
			}),
			Subscriptions: []Subscription{
				{Filter: "a", QoS: ExactlyOnce, NoLocal: true, RetainAsPublished: true, RetainHandling: 2},
				{Filter: "$share/g/a/#", QoS: AtLeastOnce, RetainHandling: 1},
			},
		},
		&Suback{PacketID: 2, Properties: reason, ReasonCodes: []ReasonCode{TopicFilterInvalid, NotAuthorized}},
		&Unsubscribe{PacketID: 3, Properties: props(func(p *Properties) { p.AddUser("a", "b") }), Filters: []string{"x"}},
		&Unsuback{PacketID: 3, Properties: reason, ReasonCodes: []ReasonCode{Success, NoSubscriptionExisted}},
		&Disconnect{ReasonCode: DisconnectWithWill},
		&Disconnect{Properties: props(func(p *Properties) {
			reasonProperties(p)
			p.SetSessionExpiry(0)
			p.SetServerReference("there")
		})},
		&Auth{},
		&Auth{ReasonCode: ContinueAuthentication, Properties: props(func(p *Properties) {
			reasonProperties(p)
			p.SetAuthMethod("SCRAM-SHA-256")
			p.SetAuthData([]byte("r=1"))
		})},
	}
}
