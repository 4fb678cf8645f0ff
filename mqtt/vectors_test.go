package mqtt

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateVectors = flag.Bool("update-vectors", false, "write vectors/mqtt from the tables of this package")

const vectorFolder = "../vectors/mqtt"

// vector is one case of vectors/mqtt; its README describes the fields.
type vector struct {
	ID        string         `json:"id"`
	Version   string         `json:"version"`
	Comment   string         `json:"comment"`
	Packet    string         `json:"packet"`
	Expect    string         `json:"expect"`
	Reason    ReasonCode     `json:"reason,omitempty"`
	Spec      string         `json:"spec,omitempty"`
	Canonical bool           `json:"canonical,omitempty"`
	Fields    map[string]any `json:"fields,omitempty"`
}

// accepted are legal packets in a form that Append does not write.
func accepted() []malformed {
	return []malformed{
		{name: "remaining length longer than necessary", v: V311, b: []byte{0xC0, 0x80, 0x00}},
		{name: "clean session of a bridge", v: V311, b: frame(0x10, lp("MQTT"), "\x84\x02\x00\x3C", lp("b"))},
		{name: "reserved connect flag is undefined", v: V31, b: connect(V31, 0x03, lp("c"))},
		{name: "will bits without will are undefined", v: V31, b: connect(V31, 0x3A, lp("c"))},
		{name: "user name flag without user name", v: V31, b: connect(V31, 0xC2, lp("c"))},
		{name: "empty client identifier", v: V311, b: connect(V311, 0x02, lp(""))},
		{name: "empty client identifier, no clean start", v: V5, b: connect(V5, 0x00, "\x00", lp(""))},
		{name: "password without user name", v: V5, b: connect(V5, 0x42, "\x00", lp("c"), lp("p"))},
		{name: "properties in another order", v: V5, b: frame(0x30, lp("a"), "\x07\x02\x00\x00\x00\x01\x01\x01")},
		{name: "long form of success", v: V5, b: frame(0x40, "\x00\x01\x00\x00")},
		{name: "reason code without properties", v: V5, b: frame(0x50, "\x00\x01\x10")},
		{name: "repeated request", v: V31, b: frame(0x8A, "\x00\x01", lp("a"), "\x00")},
		{name: "repeated release", v: V31, b: frame(0x6A, "\x00\x01")},
		{name: "acknowledge flags are undefined", v: V31, b: frame(0x20, "\xFF\x00")},
		{name: "filter of illegal syntax is left to the server", v: V5, b: frame(0x82, "\x00\x01\x00", lp("a#"), "\x00")},
		{name: "long form of normal disconnection", v: V5, b: frame(0xE0, "\x00\x00")},
		{name: "long form without method", v: V5, b: frame(0xF0, "\x00\x00")},
		{name: "byte order mark", v: V5, b: frame(0x30, lp("\uFEFFa"), "\x00")},
	}
}

// collectVectors turns the tables of this package into vectors, by packet type.
func collectVectors(t *testing.T) map[string][]vector {
	files := map[string][]vector{}
	add := func(v Version, comment string, b []byte, want *malformed) {
		if len(b) > 2000 {
			return // limits on counts are ours and not the standard's
		}
		name := "reserved"
		if typ := PacketType(b[0] >> 4); typ != 0 {
			name = strings.ToLower(typ.String())
		}
		x := vector{Version: v.String(), Comment: comment, Packet: hex.EncodeToString(b), Expect: "ok"}
		x.ID = fmt.Sprintf("%s-%03d", name, len(files[name])+1)
		if want != nil {
			x.Expect, x.Reason, x.Spec = "refuse", want.code, want.clause
		} else {
			p, err := parseVector(b, v)
			if err != nil {
				t.Fatalf("%s: %v", comment, err)
			}
			out := mustAppend(t, p, v)
			x.Canonical, x.Fields = bytes.Equal(out, b), neutral(p, v)
		}
		files[name] = append(files[name], x)
	}
	for _, v := range versions {
		for _, p := range samples(v) {
			add(v, "round trip", mustAppend(t, p, v), nil)
		}
	}
	for _, c := range accepted() {
		add(c.v, c.name, c.b, nil)
	}
	for _, list := range [][]malformed{malformedConnects(), malformedPublishes(), malformedSubscribes(), malformedOthers()} {
		for _, c := range list {
			add(c.v, c.name, c.b, &c)
		}
	}
	for _, s := range illegalTexts {
		c := malformed{code: MalformedPacket, clause: "MQTT-1.5.4-1"}
		if strings.Contains(s, "\x00") {
			c.clause = "MQTT-1.5.4-2"
		}
		add(V5, "topic of illegal text", frame(0x30, lp("topic/"+s), "\x00"), &c)
	}
	return files
}

// parseVector parses b as a receiver of version v does; the version of a CONNECT is not known beforehand.
func parseVector(b []byte, v Version) (Packet, error) {
	if PacketType(b[0]>>4) == TypeConnect {
		v = 0
	}
	return parseFrame(b, v)
}

// neutral describes a packet in the words of the standard, with values that any JSON library can compare.
func neutral(p Packet, v Version) map[string]any {
	m := map[string]any{}
	properties := func(key string, p *Properties) {
		if v == V5 {
			m[key] = neutralProperties(p)
		}
	}
	ack := func(id PacketID, c ReasonCode, p *Properties) {
		m["packet_identifier"] = float64(id)
		if v == V5 {
			m["reason_code"] = float64(c)
		}
		properties("properties", p)
	}
	codes := func(list []ReasonCode) {
		out := []any{}
		for _, c := range list {
			out = append(out, float64(c))
		}
		m["reason_codes"] = out
	}
	switch p := p.(type) {
	case *Connect:
		neutralConnect(m, p, properties)
	case *Connack:
		m["session_present"], m["reason_code"] = p.SessionPresent, float64(p.ReasonCode)
		if v != V5 {
			delete(m, "reason_code")
			m["return_code"] = float64(p.ReasonCode.ConnectReturnCode())
		}
		properties("properties", &p.Properties)
	case *Publish:
		m["dup"], m["qos"], m["retain"] = p.Dup, float64(p.QoS), p.Retain
		m["topic_name"], m["payload"] = p.Topic, hex.EncodeToString(p.Payload)
		if p.QoS > 0 {
			m["packet_identifier"] = float64(p.PacketID)
		}
		properties("properties", &p.Properties)
	case *Puback:
		ack(p.PacketID, p.ReasonCode, &p.Properties)
	case *Pubrec:
		ack(p.PacketID, p.ReasonCode, &p.Properties)
	case *Pubrel:
		ack(p.PacketID, p.ReasonCode, &p.Properties)
	case *Pubcomp:
		ack(p.PacketID, p.ReasonCode, &p.Properties)
	case *Subscribe:
		m["packet_identifier"] = float64(p.PacketID)
		properties("properties", &p.Properties)
		m["subscriptions"] = neutralSubscriptions(p.Subscriptions, v)
	case *Suback:
		m["packet_identifier"] = float64(p.PacketID)
		properties("properties", &p.Properties)
		codes(p.ReasonCodes)
	case *Unsubscribe:
		m["packet_identifier"] = float64(p.PacketID)
		properties("properties", &p.Properties)
		filters := []any{}
		for _, f := range p.Filters {
			filters = append(filters, f)
		}
		m["topic_filters"] = filters
	case *Unsuback:
		m["packet_identifier"] = float64(p.PacketID)
		properties("properties", &p.Properties)
		if v == V5 {
			codes(p.ReasonCodes)
		}
	case *Disconnect:
		if v == V5 {
			m["reason_code"] = float64(p.ReasonCode)
		}
		properties("properties", &p.Properties)
	case *Auth:
		m["reason_code"] = float64(p.ReasonCode)
		properties("properties", &p.Properties)
	}
	return m
}

func neutralConnect(m map[string]any, c *Connect, properties func(string, *Properties)) {
	m["protocol_level"], m["clean_start"], m["keep_alive"] = float64(c.ProtocolVersion), c.CleanStart, float64(c.KeepAlive)
	m["client_identifier"] = c.ClientID
	if c.Bridge {
		m["bridge"] = true
	}
	if c.HasUsername {
		m["user_name"] = c.Username
	}
	if c.HasPassword {
		m["password"] = hex.EncodeToString(c.Password)
		m["credential_prefix"] = hex.EncodeToString(c.CredentialPrefix)
	}
	properties("properties", &c.Properties)
	if c.HasWill {
		m["will_qos"], m["will_retain"] = float64(c.Will.QoS), c.Will.Retain
		m["will_topic"], m["will_payload"] = c.Will.Topic, hex.EncodeToString(c.Will.Payload)
		properties("will_properties", &c.Will.Properties)
	}
}

func neutralSubscriptions(list []Subscription, v Version) []any {
	out := []any{}
	for _, s := range list {
		x := map[string]any{"topic_filter": s.Filter, "qos": float64(s.QoS)}
		if v == V5 {
			x["no_local"], x["retain_as_published"] = s.NoLocal, s.RetainAsPublished
			x["retain_handling"] = float64(s.RetainHandling)
		}
		out = append(out, x)
	}
	return out
}

// neutralProperties lists identifier and value in ascending order of identifiers: numbers as numbers, text as text,
// Binary Data in hexadecimal, User Properties as pairs in their order.
func neutralProperties(p *Properties) []any {
	out := []any{}
	add := func(id Property, value any) {
		if p.Has(id) {
			out = append(out, []any{float64(id), value})
		}
	}
	add(PropPayloadFormat, float64(p.PayloadFormat))
	add(PropMessageExpiry, float64(p.MessageExpiry))
	add(PropContentType, p.ContentType)
	add(PropResponseTopic, p.ResponseTopic)
	add(PropCorrelationData, hex.EncodeToString(p.CorrelationData))
	for _, id := range p.SubscriptionIDs {
		add(PropSubscriptionID, float64(id))
	}
	add(PropSessionExpiry, float64(p.SessionExpiry))
	add(PropAssignedClientID, p.AssignedClientID)
	add(PropServerKeepAlive, float64(p.ServerKeepAlive))
	add(PropAuthMethod, p.AuthMethod)
	add(PropAuthData, hex.EncodeToString(p.AuthData))
	add(PropRequestProblemInfo, float64(p.RequestProblemInfo))
	add(PropWillDelay, float64(p.WillDelay))
	add(PropRequestResponseInfo, float64(p.RequestResponseInfo))
	add(PropResponseInfo, p.ResponseInfo)
	add(PropServerReference, p.ServerReference)
	add(PropReasonString, p.ReasonString)
	add(PropReceiveMaximum, float64(p.ReceiveMaximum))
	add(PropTopicAliasMaximum, float64(p.TopicAliasMaximum))
	add(PropTopicAlias, float64(p.TopicAlias))
	add(PropMaximumQoS, float64(p.MaximumQoS))
	add(PropRetainAvailable, float64(p.RetainAvailable))
	for _, u := range p.User {
		add(PropUser, []any{u.Key, u.Value})
	}
	add(PropMaximumPacketSize, float64(p.MaximumPacketSize))
	add(PropWildcardAvailable, float64(p.WildcardAvailable))
	add(PropSubscriptionIDAvailable, float64(p.SubscriptionIDAvailable))
	add(PropSharedAvailable, float64(p.SharedAvailable))
	return out
}

// writeVectors replaces the files of the folder.
func writeVectors(t *testing.T) {
	for name, list := range collectVectors(t) {
		var out bytes.Buffer
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		out.WriteString("[\n")
		for i, x := range list {
			if i > 0 {
				out.WriteString(",\n")
			}
			if err := enc.Encode(x); err != nil {
				t.Fatal(err)
			}
			out.Truncate(out.Len() - 1) // the encoder's newline
		}
		out.WriteString("\n]\n")
		if err := os.WriteFile(filepath.Join(vectorFolder, name+".json"), out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestVectors runs vectors/mqtt. A field that the runner does not know is an error.
func TestVectors(t *testing.T) {
	if *updateVectors {
		writeVectors(t)
	}
	files, err := filepath.Glob(filepath.Join(vectorFolder, "*.json"))
	if err != nil || len(files) < 16 {
		t.Fatalf("%d files of vectors, %v", len(files), err)
	}
	byName := map[string]Version{"3.1": V31, "3.1.1": V311, "5.0": V5}
	seen := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.DisallowUnknownFields()
		var list []vector
		if err := dec.Decode(&list); err != nil || len(list) == 0 {
			t.Fatalf("%s: %d vectors, %v", file, len(list), err)
		}
		for _, x := range list {
			v, known := byName[x.Version]
			if !known || seen[x.ID] {
				t.Errorf("%s: version %q, or identifier used twice", x.ID, x.Version)
			}
			seen[x.ID] = true
			runVector(t, x, v)
		}
	}
	t.Logf("%d vectors", len(seen))
}

func runVector(t *testing.T, x vector, v Version) {
	b, err := hex.DecodeString(x.Packet)
	if err != nil || len(b) == 0 {
		t.Errorf("%s: packet: %v", x.ID, err)
		return
	}
	p, err := parseVector(b, v)
	switch x.Expect {
	case "refuse":
		if x.Spec == "" || !errors.Is(err, &Error{Code: x.Reason, Clause: x.Spec}) {
			t.Errorf("%s (%s): %v, want 0x%02X [%s]", x.ID, x.Comment, err, uint8(x.Reason), x.Spec)
		}
	case "ok":
		if err != nil {
			t.Errorf("%s (%s): %v", x.ID, x.Comment, err)
			return
		}
		want := x.Fields
		if want == nil {
			want = map[string]any{}
		}
		if diff := cmp.Diff(want, neutral(p, v)); diff != "" {
			t.Errorf("%s (%s): (-want +got)\n%s", x.ID, x.Comment, diff)
		}
		if out, err := p.Append(nil, v); err != nil || bytes.Equal(out, b) != x.Canonical {
			t.Errorf("%s (%s): encoded as % x, %v", x.ID, x.Comment, out, err)
		}
	default:
		t.Errorf("%s: expect %q", x.ID, x.Expect)
	}
}
