package main

import (
	"testing"
	"time"

	"github.com/sealmq/sealmq/client"
	"github.com/sealmq/sealmq/mqtt"
)

// TestFormat holds what mosquitto_sub prints for the same message and moment.
func TestFormat(t *testing.T) {
	now := time.Date(2026, time.March, 1, 0, 5, 9, 123456789, time.UTC) // a Sunday
	m := &client.Message{Topic: "a/b", Payload: []byte("hi\""), QoS: 1, Retain: true, PacketID: 7, Properties: new(mqtt.Properties)}
	m.Properties.AddUser("k", "v")
	m.Properties.AddUser("k", "w")
	m.Properties.AddSubscriptionID(5)
	for format, want := range map[string]string{
		"%t %p %q %r %l %m":          "a/b hi\" 1 1 3 7",
		"[%6t|%-6t|%06t|%.1t|%5.2t]": "[   a/b|a/b   |   a/b|a|   a/]",
		"%03l %05m %8x %-8Xq":        "003 00007   686922 686922  q",
		"%P %S %C%A%E":               "k:v k:w 5 ",
		"%I %U":                      "2026-03-01T00:05:09+0000 1772323509.123456789",
		"@Y-@m-@d @H:@M:@S.@N @@":    "2026-03-01 00:05:09.123456789 @",
		"@j @U @W @V @G @g @u @w @a": "060 09 08 09 2026 26 7 0 Sun",
		"@I@p @l @k @e @C @s @D @T":  "12AM 12  0  1 20 1772323509 03/01/26 00:05:09",
		`\\\t\e`:                     "\\\t\x1b",
		"%%":                         "%",
		"%j":                         `{"tst":"2026-03-01T00:05:09.123456+0000","topic":"a/b","qos":1,"retain":1,"payloadlen":3,"mid":7,"properties":{"user-properties":{"k":"v","k":"w"},"subscription-identifiers":[5]},"payload":"hi\""}`,
	} {
		p, err := compileFormat(format, false)
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if got, err := p(nil, m, now); err != nil || string(got) != want {
			t.Errorf("%s: got %q %v, want %q", format, got, err, want)
		}
	}
	for _, format := range []string{"%", "%5", "%5q", "%.5p", "%Q", "@", "@!", `\`, `\q`, "%99999t", "%5j"} {
		if _, err := compileFormat(format, false); err == nil {
			t.Errorf("%s: accepted", format)
		}
	}
	raw, err := compileFormat("%J", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw(nil, m, now); err == nil {
		t.Error("%J took a payload that is not JSON")
	}
}

// TestURL: -L stands for host, port, login and topic.
func TestURL(t *testing.T) {
	for in, want := range map[string][4]string{
		"mqtt://h/a/b":               {"h", "a/b", "", ""},
		"mqtt://h:18/plant/#":        {"h", "plant/#", "", ""},
		"mqtts://u:p%40@h/%24SYS/+":  {"h", "$SYS/+", "u", "p@"},
		"mqtt://[::1]:1883/x%20y?z#": {"::1", "x y?z#", "", ""},
	} {
		f := &brokerFlags{URL: in}
		topic, err := f.splitURL()
		if got := [4]string{f.Host, topic, f.Username, string(f.Password)}; err != nil || got != want {
			t.Errorf("%s: got %q %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"h/a", "http://h/a", "mqtt:///a", "mqtt://h:x/a"} {
		if _, err := (&brokerFlags{URL: in}).splitURL(); err == nil {
			t.Errorf("%s: accepted", in)
		}
	}
}
