package psktls

import "strconv"

// Alert is a TLS alert description, RFC 8446 §6.
type Alert uint8

// The alerts this package sends or gives a name to (IANA "TLS Alerts").
const (
	AlertCloseNotify           Alert = 0
	AlertUnexpectedMessage     Alert = 10
	AlertBadRecordMAC          Alert = 20
	AlertRecordOverflow        Alert = 22
	AlertHandshakeFailure      Alert = 40
	AlertIllegalParameter      Alert = 47
	AlertDecodeError           Alert = 50
	AlertDecryptError          Alert = 51
	AlertProtocolVersion       Alert = 70
	AlertInsufficientSecurity  Alert = 71
	AlertInternalError         Alert = 80
	AlertInappropriateFallback Alert = 86
	AlertUserCanceled          Alert = 90
	AlertNoRenegotiation       Alert = 100
	AlertMissingExtension      Alert = 109
	AlertUnsupportedExtension  Alert = 110
	AlertUnknownPSKIdentity    Alert = 115
	AlertNoApplicationProtocol Alert = 120

	// AlertNone in an Error means that no alert was sent or received. 255 is
	// not assigned.
	AlertNone Alert = 255
)

var alertNames = map[Alert]string{
	AlertCloseNotify:           "close_notify",
	AlertUnexpectedMessage:     "unexpected_message",
	AlertBadRecordMAC:          "bad_record_mac",
	AlertRecordOverflow:        "record_overflow",
	AlertHandshakeFailure:      "handshake_failure",
	AlertIllegalParameter:      "illegal_parameter",
	AlertDecodeError:           "decode_error",
	AlertDecryptError:          "decrypt_error",
	AlertProtocolVersion:       "protocol_version",
	AlertInsufficientSecurity:  "insufficient_security",
	AlertInternalError:         "internal_error",
	AlertInappropriateFallback: "inappropriate_fallback",
	AlertUserCanceled:          "user_canceled",
	AlertNoRenegotiation:       "no_renegotiation",
	AlertMissingExtension:      "missing_extension",
	AlertUnsupportedExtension:  "unsupported_extension",
	AlertUnknownPSKIdentity:    "unknown_psk_identity",
	AlertNoApplicationProtocol: "no_application_protocol",
	AlertNone:                  "none",
}

// String gives the name of RFC 8446 §6, or "alert(n)".
func (a Alert) String() string {
	if name, ok := alertNames[a]; ok {
		return name
	}
	return "alert(" + strconv.Itoa(int(a)) + ")"
}

const (
	alertLevelWarning = 1
	alertLevelFatal   = 2
)

// wire gives the two octets of an alert record: level and description.
func (a Alert) wire() [2]byte {
	level := byte(alertLevelFatal)
	if a == AlertCloseNotify || a == AlertUserCanceled {
		level = alertLevelWarning
	}
	return [2]byte{level, byte(a)}
}
