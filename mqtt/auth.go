package mqtt

import (
	"fmt"
	"log/slog"
)

// Auth is one step of an extended authentication exchange, MQTT 5 §3.15. It exists in version 5 only.
type Auth struct {
	ReasonCode ReasonCode // Success, ContinueAuthentication or ReAuthenticate
	Properties Properties
}

// Type returns TypeAuth.
func (*Auth) Type() PacketType { return TypeAuth }

// Parse implements Packet. The Authentication Method may be absent only from a Success without any property, the one
// case for which the standard defines a short form; comparing it with that of the CONNECT [MQTT-4.12.0-5] is left to
// the caller.
func (p *Auth) Parse(v Version, flags byte, body []byte) error {
	if v != V5 {
		return refuse(ProtocolError, "MQTT 3.1.1 §2.2.1", "AUTH before version 5")
	}
	if err := checkFlags(TypeAuth, flags, v); err != nil {
		return err
	}
	p.ReasonCode = Success
	p.Properties.Reset()
	if len(body) == 0 {
		return nil
	}
	d := decoder{b: body, v: v}
	p.ReasonCode = d.reasonCode(TypeAuth, "MQTT-3.15.2-1")
	p.Properties.parse(&d, TypeAuth)
	if d.err == nil && p.needsMethod() {
		d.fail(ProtocolError, "", "MQTT 5 §3.15.2.2.2", "AUTH without Authentication Method")
	}
	return d.finish()
}

// Append implements Packet.
func (p *Auth) Append(dst []byte, v Version) ([]byte, error) {
	if v != V5 {
		return dst, &Error{Code: ProtocolError, Clause: "MQTT 3.1.1 §2.2.1", Err: errNotInVersion}
	}
	if p.ReasonCode == Success && p.Properties.Present == 0 {
		return AppendHeader(dst, TypeAuth, 0, 0), nil
	}
	var s sizer
	s.reasonCode(p.ReasonCode, TypeAuth)
	props := s.properties(&p.Properties, TypeAuth)
	if p.needsMethod() {
		s.fail(ProtocolError, "MQTT 5 §3.15.2.2.2", "AUTH without Authentication Method")
	}
	if err := s.finish(); err != nil {
		return dst, err
	}
	dst = append(AppendHeader(dst, TypeAuth, 0, s.n), byte(p.ReasonCode))
	return p.Properties.append(dst, props), nil
}

// needsMethod reports whether the packet lacks an Authentication Method that it must have.
func (p *Auth) needsMethod() bool {
	return !p.Properties.Has(PropAuthMethod) && (p.ReasonCode != Success || p.Properties.Present != 0)
}

// Clone returns a copy that shares no memory with p.
func (p *Auth) Clone() *Auth {
	return &Auth{ReasonCode: p.ReasonCode, Properties: p.Properties.Clone()}
}

// summary is what may be printed: no Authentication Data.
func (p Auth) summary() string {
	return fmt.Sprintf("AUTH 0x%02X %s method %q", uint8(p.ReasonCode), p.ReasonCode, p.Properties.AuthMethod)
}

// Format implements fmt.Formatter for every verb, so that no way of printing shows the Authentication Data, which may
// be a secret. Like LogValue it is a method of the value, so that printing a copy is covered, too.
func (p Auth) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(p.summary())) }

// LogValue implements slog.LogValuer, without the Authentication Data.
func (p Auth) LogValue() slog.Value { return slog.StringValue(p.summary()) }
