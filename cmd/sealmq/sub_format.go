package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/mqtt"
)

// printer appends a message in the form that the flags ask for.
type printer func(dst []byte, m *client.Message, now time.Time) ([]byte, error)

// printer chooses the form: --json, -F, -v, or the payload alone.
func (c *subCommand) printer() (printer, error) {
	var p printer
	switch {
	case c.JSON:
		return appendJSONLine, nil
	case c.Format != "":
		compiled, err := compileFormat(string(c.Format), c.Pretty)
		if err != nil {
			return nil, err
		}
		p = compiled
	case c.Verbose:
		p = appendVerbose
	default:
		p = appendPayload
	}
	if c.NoEndOfLine {
		return p, nil
	}
	return func(dst []byte, m *client.Message, now time.Time) ([]byte, error) {
		if c.Format == "" && !c.Verbose && len(m.Payload) == 0 {
			return dst, nil // as mosquitto_sub: no line for an empty payload
		}
		dst, err := p(dst, m, now)
		return append(dst, '\n'), err
	}, nil
}

func appendPayload(dst []byte, m *client.Message, _ time.Time) ([]byte, error) {
	return append(dst, m.Payload...), nil
}

func appendVerbose(dst []byte, m *client.Message, _ time.Time) ([]byte, error) {
	dst = append(append(dst, m.Topic...), ' ')
	if len(m.Payload) == 0 {
		return append(dst, "(null)"...), nil
	}
	return append(dst, m.Payload...), nil
}

// messageLine is one line of sub --json.
type messageLine struct {
	Schema     string          `json:"schema"`
	Time       string          `json:"time"`
	Topic      string          `json:"topic"`
	QoS        int             `json:"qos"`
	Retain     bool            `json:"retain"`
	Duplicate  bool            `json:"dup,omitempty"`
	Payload    *string         `json:"payload,omitempty"`        // if it is UTF-8
	Base64     []byte          `json:"payload_base64,omitempty"` // if not
	Properties json.RawMessage `json:"properties,omitempty"`
}

func appendJSONLine(dst []byte, m *client.Message, now time.Time) ([]byte, error) {
	line := messageLine{
		Schema: "sealmq.message/1", Time: now.UTC().Format(time.RFC3339Nano),
		Topic: m.Topic, QoS: int(m.QoS), Retain: m.Retain, Duplicate: m.Duplicate,
	}
	if utf8.Valid(m.Payload) {
		s := string(m.Payload)
		line.Payload = &s
	} else {
		line.Base64 = m.Payload
	}
	line.Properties = propertiesJSON(m)
	b, err := json.Marshal(line)
	return append(append(dst, b...), '\n'), err
}

// propertiesJSON is the object of the MQTT 5 properties, with the names of mosquitto_sub; nil when there are none.
func propertiesJSON(m *client.Message) json.RawMessage {
	if m.Properties == nil || m.Properties.Present == 0 {
		return nil
	}
	p, o := m.Properties, new(object)
	if p.Has(mqtt.PropTopicAlias) {
		o.add("topic-alias", p.TopicAlias)
	}
	if p.Has(mqtt.PropUser) {
		user := new(object)
		for _, u := range p.User {
			user.add(u.Key, u.Value)
		}
		o.add("user-properties", user.raw())
	}
	if p.Has(mqtt.PropContentType) {
		o.add("content-type", p.ContentType)
	}
	if p.Has(mqtt.PropPayloadFormat) {
		o.add("payload-format-indicator", p.PayloadFormat)
	}
	if p.Has(mqtt.PropCorrelationData) {
		o.add("correlation-data", string(p.CorrelationData))
	}
	if p.Has(mqtt.PropResponseTopic) {
		o.add("response-topic", p.ResponseTopic)
	}
	if p.Has(mqtt.PropMessageExpiry) {
		o.add("message-expiry-interval", p.MessageExpiry)
	}
	if p.Has(mqtt.PropSubscriptionID) {
		o.add("subscription-identifiers", p.SubscriptionIDs)
	}
	return o.raw()
}

// object builds a JSON object whose members keep their order and may repeat, as User Properties do.
type object struct{ b []byte }

func (o *object) add(key string, value any) {
	k, _ := json.Marshal(key)
	v, _ := json.Marshal(value) // numbers, texts and raw JSON: cannot fail
	if o.b != nil {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, k...), ':'), v...)
}

func (o *object) raw() json.RawMessage { return append(append([]byte{'{'}, o.b...), '}') }

// formatPart appends one piece of a format.
type formatPart func(dst []byte, m *client.Message, now time.Time) ([]byte, error)

// fieldSpec is what stands between % and the letter: flags, width and maximum width.
type fieldSpec struct {
	left, zero bool
	width      int
	maximum    int // -1: none
}

const maxFieldWidth = 10_000

// compileFormat reads a -F format: % for parameters, @ for strftime, \ for escapes.
func compileFormat(format string, pretty bool) (printer, error) {
	var parts []formatPart
	literal := func(s string) {
		parts = append(parts, func(dst []byte, _ *client.Message, _ time.Time) ([]byte, error) { return append(dst, s...), nil })
	}
	for format != "" {
		i := strings.IndexAny(format, `%@\`)
		if i != 0 {
			if i < 0 {
				i = len(format)
			}
			literal(format[:i])
			format = format[i:]
			continue
		}
		if len(format) == 1 {
			return nil, formatError(format, "it ends in the middle of a sequence")
		}
		kind, rest := format[0], format[1:]
		switch kind {
		case '\\':
			c, ok := escapes[rest[0]]
			if !ok {
				return nil, formatError(`\`+rest[:1], `escapes are \\ \0 \a \e \n \r \t \v`)
			}
			literal(c)
			format = rest[1:]
		case '@':
			part, err := timePart(rest[0])
			if err != nil {
				return nil, err
			}
			parts = append(parts, part)
			format = rest[1:]
		default:
			part, n, err := parameter(rest, pretty)
			if err != nil {
				return nil, err
			}
			parts = append(parts, part)
			format = rest[n:]
		}
	}
	return func(dst []byte, m *client.Message, now time.Time) ([]byte, error) {
		for _, part := range parts {
			var err error
			if dst, err = part(dst, m, now); err != nil {
				return nil, err
			}
		}
		return dst, nil
	}, nil
}

func formatError(what, why string) error {
	return usageError("cannot use -F: "+what, why, "sealmq sub --help lists the letters")
}

var escapes = map[byte]string{
	'\\': `\`, '0': "\x00", 'a': "\a", 'e': "\x1b", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
}

func timePart(letter byte) (formatPart, error) {
	if _, err := strftime(nil, letter, time.Time{}); err != nil {
		return nil, formatError("@"+string(letter), "strftime has no such letter")
	}
	return func(dst []byte, _ *client.Message, now time.Time) ([]byte, error) { return strftime(dst, letter, now) }, nil
}

// parameter reads what follows a %, and how long it is.
func parameter(s string, pretty bool) (formatPart, int, error) {
	spec, n, err := parseSpec(s)
	if err != nil {
		return nil, 0, err
	}
	if n == len(s) {
		return nil, 0, formatError("%"+s, "it ends in the middle of a sequence")
	}
	letter := s[n]
	plain := n == 0
	n++
	switch letter {
	case '%':
		if plain {
			return func(dst []byte, _ *client.Message, _ time.Time) ([]byte, error) { return append(dst, '%'), nil }, n, nil
		}
	case 'j', 'J':
		if plain {
			return jsonPart(letter == 'J', pretty), n, nil
		}
	}
	get, known := fields[letter]
	if !known || !plain && !strings.ContainsRune("ACEFIlmpRStxX", rune(letter)) ||
		spec.maximum >= 0 && !strings.ContainsRune("CIRt", rune(letter)) {
		return nil, 0, formatError("%"+s[:n], "there is no such parameter, or it takes no such width")
	}
	spec.zero = spec.zero && strings.ContainsRune("AEFlmSXx", rune(letter))
	return func(dst []byte, m *client.Message, now time.Time) ([]byte, error) {
		if plain {
			return get(dst, m, now), nil
		}
		return spec.pad(dst, get(nil, m, now)), nil
	}, n, nil
}

func parseSpec(s string) (spec fieldSpec, n int, err error) {
	spec.maximum = -1
	for ; n < len(s) && (s[n] == '-' || s[n] == '0'); n++ {
		spec.left = spec.left || s[n] == '-'
		spec.zero = spec.zero || s[n] == '0'
	}
	number := func() int {
		from := n
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		v, e := strconv.Atoi("0" + s[from:n])
		if e != nil || v > maxFieldWidth {
			err = formatError("%"+s[:n], fmt.Sprintf("no field is wider than %d", maxFieldWidth))
		}
		return v
	}
	spec.width = number()
	if n < len(s) && s[n] == '.' {
		n++
		spec.maximum = number()
	}
	return spec, n, err
}

// pad brings a value to the field's width.
func (f fieldSpec) pad(dst, value []byte) []byte {
	if f.maximum >= 0 && len(value) > f.maximum {
		value = value[:f.maximum]
	}
	missing := max(0, f.width-len(value))
	switch {
	case f.left:
		return append(append(dst, value...), bytes.Repeat([]byte{' '}, missing)...)
	case f.zero:
		return append(append(dst, bytes.Repeat([]byte{'0'}, missing)...), value...)
	default:
		return append(append(dst, bytes.Repeat([]byte{' '}, missing)...), value...)
	}
}

// fields are the parameters of a message. An absent property prints nothing.
var fields = map[byte]func(dst []byte, m *client.Message, now time.Time) []byte{
	'A': numberField(mqtt.PropTopicAlias, func(p *mqtt.Properties) uint64 { return uint64(p.TopicAlias) }),
	'E': numberField(mqtt.PropMessageExpiry, func(p *mqtt.Properties) uint64 { return uint64(p.MessageExpiry) }),
	'F': numberField(mqtt.PropPayloadFormat, func(p *mqtt.Properties) uint64 { return uint64(p.PayloadFormat) }),
	'C': textField(func(p *mqtt.Properties) string { return p.ContentType }),
	'R': textField(func(p *mqtt.Properties) string { return p.ResponseTopic }),
	'D': textField(func(p *mqtt.Properties) string { return string(p.CorrelationData) }),
	'P': textField(func(p *mqtt.Properties) string {
		pairs := make([]string, len(p.User))
		for i, u := range p.User {
			pairs[i] = u.Key + ":" + u.Value
		}
		return strings.Join(pairs, " ")
	}),
	'S': textField(func(p *mqtt.Properties) string {
		ids := make([]string, len(p.SubscriptionIDs))
		for i, id := range p.SubscriptionIDs {
			ids[i] = strconv.FormatUint(uint64(id), 10)
		}
		return strings.Join(ids, " ")
	}),
	't': func(dst []byte, m *client.Message, _ time.Time) []byte { return append(dst, m.Topic...) },
	'p': func(dst []byte, m *client.Message, _ time.Time) []byte { return append(dst, m.Payload...) },
	'x': func(dst []byte, m *client.Message, _ time.Time) []byte { return hex.AppendEncode(dst, m.Payload) },
	'X': func(dst []byte, m *client.Message, _ time.Time) []byte {
		return append(dst, strings.ToUpper(hex.EncodeToString(m.Payload))...)
	},
	'l': func(dst []byte, m *client.Message, _ time.Time) []byte {
		return strconv.AppendInt(dst, int64(len(m.Payload)), 10)
	},
	'm': func(dst []byte, m *client.Message, _ time.Time) []byte {
		return strconv.AppendUint(dst, uint64(m.PacketID), 10)
	},
	'q': func(dst []byte, m *client.Message, _ time.Time) []byte { return append(dst, '0'+byte(m.QoS)) },
	'r': func(dst []byte, m *client.Message, _ time.Time) []byte {
		if m.Retain {
			return append(dst, '1')
		}
		return append(dst, '0')
	},
	'I': func(dst []byte, _ *client.Message, now time.Time) []byte {
		return now.AppendFormat(dst, "2006-01-02T15:04:05-0700")
	},
	'U': func(dst []byte, _ *client.Message, now time.Time) []byte {
		return fmt.Appendf(dst, "%d.%09d", now.Unix(), now.Nanosecond())
	},
}

func numberField(id mqtt.Property, get func(*mqtt.Properties) uint64) func([]byte, *client.Message, time.Time) []byte {
	return func(dst []byte, m *client.Message, _ time.Time) []byte {
		if m.Properties == nil || !m.Properties.Has(id) {
			return dst
		}
		return strconv.AppendUint(dst, get(m.Properties), 10)
	}
}

func textField(get func(*mqtt.Properties) string) func([]byte, *client.Message, time.Time) []byte {
	return func(dst []byte, m *client.Message, _ time.Time) []byte {
		if m.Properties == nil {
			return dst
		}
		return append(dst, get(m.Properties)...)
	}
}

// jsonPart is %j, and %J whose payload must be JSON itself.
func jsonPart(rawPayload, pretty bool) formatPart {
	return func(dst []byte, m *client.Message, now time.Time) ([]byte, error) {
		o := new(object)
		o.add("tst", now.Format("2006-01-02T15:04:05.000000-0700"))
		o.add("topic", m.Topic)
		o.add("qos", int(m.QoS))
		retain := 0
		if m.Retain {
			retain = 1
		}
		o.add("retain", retain)
		o.add("payloadlen", len(m.Payload))
		if m.QoS > 0 {
			o.add("mid", m.PacketID)
		}
		if props := propertiesJSON(m); props != nil {
			o.add("properties", props)
		}
		if !rawPayload {
			o.add("payload", string(m.Payload))
		} else {
			if !json.Valid(m.Payload) {
				return nil, fmt.Errorf("the payload on %q is not valid JSON", m.Topic)
			}
			o.add("payload", json.RawMessage(m.Payload))
		}
		if !pretty {
			return append(dst, o.raw()...), nil
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, o.raw(), "", "\t"); err != nil {
			return nil, fmt.Errorf("indent JSON: %w", err)
		}
		return append(dst, indented.Bytes()...), nil
	}
}
