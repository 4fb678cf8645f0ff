package mqtt

import (
	"testing"
)

// TestReasonCodesPerPacket counts, for each packet, the codes of its own table in the standard (tables 3-1, 3-4 to
// 3-10 and so on), and names some at the edges.
func TestReasonCodesPerPacket(t *testing.T) {
	cases := []struct {
		t     PacketType
		count int
		valid []ReasonCode
		not   []ReasonCode
	}{
		{TypeConnack, 22, []ReasonCode{Success, UnsupportedProtocolVersion, Banned, ConnectionRateExceeded}, []ReasonCode{SessionTakenOver, GrantedQoS1}},
		{TypePuback, 9, []ReasonCode{Success, NoMatchingSubscribers, PayloadFormatInvalid}, []ReasonCode{PacketIdentifierNotFound, MalformedPacket}},
		{TypePubrec, 9, []ReasonCode{Success, QuotaExceeded}, []ReasonCode{PacketIdentifierNotFound}},
		{TypePubrel, 2, []ReasonCode{Success, PacketIdentifierNotFound}, []ReasonCode{NotAuthorized}},
		{TypePubcomp, 2, []ReasonCode{Success, PacketIdentifierNotFound}, []ReasonCode{UnspecifiedError}},
		{TypeSuback, 12, []ReasonCode{GrantedQoS2, WildcardSubscriptionsNotSupported}, []ReasonCode{NoSubscriptionExisted, TopicNameInvalid}},
		{TypeUnsuback, 7, []ReasonCode{Success, NoSubscriptionExisted}, []ReasonCode{GrantedQoS1, QuotaExceeded}},
		{TypeDisconnect, 30, []ReasonCode{NormalDisconnection, DisconnectWithWill, MaximumConnectTime}, []ReasonCode{Banned, NoMatchingSubscribers}},
		{TypeAuth, 3, []ReasonCode{Success, ContinueAuthentication, ReAuthenticate}, []ReasonCode{NotAuthorized}},
		{TypePublish, 0, nil, []ReasonCode{Success}},
		{TypeSubscribe, 0, nil, []ReasonCode{Success}},
		{0, 0, nil, []ReasonCode{Success}},
		{200, 0, nil, []ReasonCode{Success}},
	}
	for _, c := range cases {
		count := 0
		for code := range 256 {
			if ReasonCode(code).ValidIn(c.t) {
				count++
			}
		}
		if count != c.count {
			t.Errorf("%s: %d codes, want %d", c.t, count, c.count)
		}
		for _, code := range c.valid {
			if !code.ValidIn(c.t) {
				t.Errorf("%s in %s is refused", code, c.t)
			}
		}
		for _, code := range c.not {
			if code.ValidIn(c.t) {
				t.Errorf("%s in %s is accepted", code, c.t)
			}
		}
	}
}

// TestConnectReturnCodes maps all codes: what is an error stays one, and the five return codes survive both ways.
func TestConnectReturnCodes(t *testing.T) {
	for code := range 256 {
		c := ReasonCode(code)
		if (c == Success) != (c.ConnectReturnCode() == ConnectionAccepted) {
			t.Errorf("%s becomes %s", c, c.ConnectReturnCode())
		}
		if c.IsError() != (code >= 0x80) {
			t.Errorf("IsError of %s", c)
		}
	}
	for code := range 256 {
		c := ConnectReturnCode(code)
		if code <= 5 && c.ReasonCode().ConnectReturnCode() != c {
			t.Errorf("%s does not survive", c)
		}
		if code > 5 && c.ReasonCode() != UnspecifiedError {
			t.Errorf("reserved %d becomes %s", code, c.ReasonCode())
		}
	}
	if got := QuotaExceeded.ConnectReturnCode(); got != ReturnServerUnavailable {
		t.Errorf("quota: %s", got)
	}
	if got := Banned.ConnectReturnCode(); got != ReturnNotAuthorized {
		t.Errorf("banned: %s", got)
	}
}
