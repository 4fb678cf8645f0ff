package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/mqtt"
)

// propertyArg is one -D COMMAND NAME VALUE, or -D COMMAND user-property KEY VALUE.
type propertyArg struct{ command, name, key, value string }

// propertyArgs are all -D flags.
type propertyArgs []propertyArg

// Decode implements kong.MapperValue: each -D takes three or four words.
func (p *propertyArgs) Decode(ctx *kong.DecodeContext) error {
	var arg propertyArg
	words := []*string{&arg.command, &arg.name, &arg.value}
	for i := 0; i < len(words); i++ {
		s, err := popText(ctx)
		if err != nil {
			return fmt.Errorf("it needs COMMAND NAME VALUE, as in -D publish content-type text/plain")
		}
		*words[i] = s
		if i == 1 && s == "user-property" {
			words = []*string{&arg.command, &arg.name, &arg.key, &arg.value}
		}
	}
	if !slices.Contains(propertyCommands, arg.command) {
		return fmt.Errorf("%q is not one of %s", arg.command, strings.Join(propertyCommands, ", "))
	}
	if err := arg.apply(new(mqtt.Properties)); err != nil {
		return err
	}
	*p = append(*p, arg)
	return nil
}

var propertyCommands = []string{"connect", "publish", "subscribe", "unsubscribe", "disconnect", "will"}

// propertyNames says where a property may stand and how its value is read.
var propertyNames = map[string]struct {
	in  string
	set func(p *mqtt.Properties, value string) error
}{
	"content-type":                {"publish will", setText((*mqtt.Properties).SetContentType)},
	"correlation-data":            {"publish will", setText(func(p *mqtt.Properties, s string) { p.SetCorrelationData([]byte(s)) })},
	"maximum-packet-size":         {"connect", setNumber(1, 1<<32-1, (*mqtt.Properties).SetMaximumPacketSize)},
	"message-expiry-interval":     {"publish will", setNumber(0, 1<<32-1, (*mqtt.Properties).SetMessageExpiry)},
	"payload-format-indicator":    {"publish will", setNumber(0, 1, (*mqtt.Properties).SetPayloadFormat)},
	"receive-maximum":             {"connect", setNumber(1, 1<<16-1, (*mqtt.Properties).SetReceiveMaximum)},
	"request-problem-information": {"connect", setBool((*mqtt.Properties).SetRequestProblemInfo)},
	"request-response-information": {
		"connect", setBool((*mqtt.Properties).SetRequestResponseInfo),
	},
	"response-topic":          {"publish will", setText((*mqtt.Properties).SetResponseTopic)},
	"session-expiry-interval": {"connect disconnect", setNumber(0, 1<<32-1, (*mqtt.Properties).SetSessionExpiry)},
	"subscription-identifier": {"subscribe", setNumber(1, 268_435_455, (*mqtt.Properties).AddSubscriptionID)},
	"topic-alias":             {"publish", setNumber(1, 1<<16-1, (*mqtt.Properties).SetTopicAlias)},
	"topic-alias-maximum":     {"connect", setNumber(0, 1<<16-1, (*mqtt.Properties).SetTopicAliasMaximum)},
	"user-property":           {"connect publish subscribe unsubscribe disconnect will", nil},
	"will-delay-interval":     {"will", setNumber(0, 1<<32-1, (*mqtt.Properties).SetWillDelay)},
}

func setText(set func(*mqtt.Properties, string)) func(*mqtt.Properties, string) error {
	return func(p *mqtt.Properties, s string) error {
		if len(s) > 65535 || !mqtt.ValidString(s) {
			return fmt.Errorf("is not a text that MQTT allows")
		}
		set(p, s)
		return nil
	}
}

func setNumber[T uint8 | uint16 | uint32](low, high uint64, set func(*mqtt.Properties, T)) func(*mqtt.Properties, string) error {
	return func(p *mqtt.Properties, s string) error {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil || n < low || n > high {
			return fmt.Errorf("must be a number from %d to %d", low, high)
		}
		set(p, T(n))
		return nil
	}
}

func setBool(set func(*mqtt.Properties, bool)) func(*mqtt.Properties, string) error {
	return setNumber(0, 1, func(p *mqtt.Properties, n uint8) { set(p, n == 1) })
}

// apply puts the property into p.
func (a *propertyArg) apply(p *mqtt.Properties) error {
	row, known := propertyNames[a.name]
	if !known || !slices.Contains(strings.Fields(row.in), a.command) {
		return fmt.Errorf("%s has no property %q", a.command, a.name)
	}
	if row.set == nil {
		if !mqtt.ValidString(a.key) || !mqtt.ValidString(a.value) {
			return fmt.Errorf("%s is not a text that MQTT allows", a.name)
		}
		p.AddUser(a.key, a.value)
		return nil
	}
	if err := row.set(p, a.value); err != nil {
		return fmt.Errorf("%s %w", a.name, err)
	}
	return nil
}

// of collects the properties for a command.
func (p propertyArgs) of(command string) (mqtt.Properties, error) {
	var props mqtt.Properties
	for i := range p {
		if p[i].command != command {
			continue
		}
		if err := p[i].apply(&props); err != nil {
			return props, err
		}
	}
	return props, nil
}

// connect puts the properties of CONNECT where the client takes them from.
func (p propertyArgs) connect(cfg *client.Config) error {
	props, err := p.of("connect")
	if err != nil {
		return err
	}
	if props.Has(mqtt.PropReceiveMaximum) {
		cfg.ReceiveMaximum = props.ReceiveMaximum
	}
	if props.Has(mqtt.PropMaximumPacketSize) {
		if props.MaximumPacketSize > mqtt.MaxPacketSize {
			return usageError("cannot use -D connect maximum-packet-size", fmt.Sprintf("no packet is larger than %d bytes", mqtt.MaxPacketSize), "")
		}
		cfg.MaximumPacketSize = props.MaximumPacketSize
	}
	if props.Has(mqtt.PropTopicAliasMaximum) {
		cfg.TopicAliasMaximum = int(props.TopicAliasMaximum)
		if props.TopicAliasMaximum == 0 {
			cfg.TopicAliasMaximum = -1
		}
	}
	if cfg.Properties.Has(mqtt.PropSessionExpiry) && !props.Has(mqtt.PropSessionExpiry) {
		props.SetSessionExpiry(cfg.Properties.SessionExpiry)
	}
	cfg.Properties = props
	return nil
}
