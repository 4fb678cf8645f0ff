package translation

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sealmq/sealmq/internal/mosquittoconf"
)

// handler says what becomes of a directive that is about the whole broker.
type handler func(t *translator, d *mosquittoconf.Directive) (Verdict, string)

// always is a handler with one answer.
func always(v Verdict, why string) handler {
	return func(*translator, *mosquittoconf.Directive) (Verdict, string) { return v, why }
}

// number takes a whole number into a key. Zero, which means without bound to Mosquitto, takes the value none.
func number(key string, none string, least, most int64, write func(int64) string) handler {
	return func(t *translator, d *mosquittoconf.Directive) (Verdict, string) {
		n, err := strconv.ParseInt(d.Args, 10, 64)
		switch {
		case err != nil || n < -1:
			return Refused, "it is not a number"
		case n <= 0 && none == "":
			return Tightened, "there is always a bound here: the default of " + key
		case n <= 0:
			t.values[key] = none
			return Kept, key + ": " + none
		case n < least:
			t.values[key] = write(least)
			return Kept, fmt.Sprintf("%s: %s, the least that there is", key, write(least))
		case n > most:
			t.values[key] = write(most)
			return Tightened, fmt.Sprintf("%s: %s, the most that there is", key, write(most))
		}
		t.values[key] = write(n)
		return Kept, key + ": " + write(n)
	}
}

func plain(n int64) string   { return strconv.FormatInt(n, 10) }
func bytes(n int64) string   { return strconv.FormatInt(n, 10) + "B" }
func seconds(n int64) string { return strconv.FormatInt(n, 10) + "s" }

// Bounds of keys that cannot be looked up in their descriptions.
const (
	mostCount  = 10_000_000
	mostPacket = 256 << 20
	mostQueue  = 64 << 30
	leastBytes = 256
	// topicRoom is what a packet holds besides its payload: mostly the topic.
	topicRoom = 64 << 10
)

// brokerDirectives are those about the whole broker that are not about login.
var brokerDirectives = map[string]handler{
	"global_max_clients":           number("limits.clients", "", 1, mostCount, plain),
	"global_max_connections":       number("limits.clients", "", 1, mostCount, plain),
	"max_inflight_messages":        number("limits.inflight", "65535", 1, 65535, plain),
	"max_queued_messages":          number("limits.queue.messages", plain(mostCount), 1, mostCount, plain),
	"max_queued_bytes":             number("limits.queue.bytes", "", leastBytes, mostQueue, bytes),
	"max_keepalive":                number("limits.keep_alive_max", "unlimited", 1, 65535, seconds),
	"sys_interval":                 number("sys_interval", "", 1, 3600, seconds),
	"max_packet_size":              number("limits.packet", "", leastBytes, mostPacket, bytes),
	"message_size_limit":           messageSize,
	"queue_qos0_messages":          flag("limits.queue.qos0_offline"),
	"retain_available":             retain,
	"persistence":                  persistence,
	"persistent_client_expiration": expiration,
	"log_dest":                     logDestination,
	"log_type":                     logType,

	"per_listener_settings":    always(Kept, "login and rules are looked at listener by listener below"),
	"include_dir":              always(Kept, "its files are part of this list"),
	"set_tcp_nodelay":          always(Kept, "it is always on"),
	"check_retain_source":      always(Kept, "it is always on: the author of a retained message is judged again at each delivery"),
	"autosave_interval":        always(Tightened, "everything is on disk before it is acknowledged"),
	"autosave_on_changes":      always(Tightened, "everything is on disk before it is acknowledged"),
	"persistence_location":     always(Refused, "the new folder is used: the database of Mosquitto is not taken over"),
	"persistence_file":         always(Refused, "the database of Mosquitto is not taken over"),
	"user":                     always(Refused, "start the process as that user: User= in a unit of systemd"),
	"pid_file":                 always(Refused, "a service manager knows the process; sealmq status asks it"),
	"retry_interval":           always(Refused, "it has had no effect since version 1.5"),
	"store_clean_interval":     always(Refused, "it has had no effect since version 1.5"),
	"memory_limit":             always(Refused, "each queue, session and packet has a bound of its own: see limits"),
	"max_inflight_bytes":       always(Refused, "what is open is counted in messages: limits.inflight"),
	"allow_duplicate_messages": always(Refused, "overlapping subscriptions get a message once"),
	"upgrade_outgoing_qos":     always(Refused, "a message never gets a higher QoS than its publisher gave it"),
	"retain_expiry_interval":   always(Refused, "limits.message_expiry_max bounds all messages, not only retained ones"),
	"enable_control_api":       always(Refused, "a running broker is asked over its control socket only: sealmq admin"),
}

// broker handles one directive that is not about a listener. Those about login are handled by security.
func (t *translator) broker(d *mosquittoconf.Directive) {
	if scope, _ := mosquittoconf.Known(d.Name); scope == mosquittoconf.OfSecurity {
		return
	}
	if h := brokerDirectives[d.Name]; h != nil {
		v, why := h(t, d)
		t.say(d, v, why)
	}
}

func flag(key string) handler {
	return func(t *translator, d *mosquittoconf.Directive) (Verdict, string) {
		t.values[key] = strconv.FormatBool(d.True())
		return Kept, key + ": " + t.values[key]
	}
}

// messageSize bounds the payload; packets have room for a topic beside it.
func messageSize(t *translator, d *mosquittoconf.Directive) (Verdict, string) {
	n, err := strconv.ParseInt(d.Args, 10, 64)
	switch {
	case err != nil || n < 0:
		return Refused, "it is not a number"
	case n == 0:
		return Tightened, "there is always a bound here: the default of limits.packet"
	case t.c.Global.Get("max_packet_size") != nil:
		return Kept, "max_packet_size says it"
	}
	t.values["limits.packet"] = bytes(min(n+topicRoom, mostPacket))
	return Kept, "limits.packet: " + t.values["limits.packet"] + ", which is that payload with room for a topic"
}

func retain(t *translator, d *mosquittoconf.Directive) (Verdict, string) {
	if d.True() {
		return Kept, "retained messages are on, within limits.retained"
	}
	t.values["limits.retained.messages"] = "0"
	return Kept, "limits.retained.messages: 0"
}

func persistence(t *translator, d *mosquittoconf.Directive) (Verdict, string) {
	if d.True() {
		return Tightened, "storage.engine: disk, and everything is on disk before it is acknowledged"
	}
	t.values["storage.engine"] = "memory"
	return Kept, "storage.engine: memory"
}

// expiration reads "14d", with h, d, w, m or y.
func expiration(t *translator, d *mosquittoconf.Directive) (Verdict, string) {
	units := map[byte]int64{'h': 1, 'd': 24, 'w': 7 * 24, 'm': 30 * 24, 'y': 365 * 24}
	if d.Args == "" {
		return Refused, "it has no value"
	}
	hours := units[d.Args[len(d.Args)-1]]
	n, err := strconv.ParseInt(strings.TrimSpace(d.Args[:len(d.Args)-1]), 10, 64)
	const most = 100 * 365 * 24 // a century
	if hours == 0 || err != nil || n < 1 || n > most {
		return Refused, "it is not a number with h, d, w, m or y behind it"
	}
	value := plain(min(n*hours, most)) + "h"
	t.values["limits.session_expiry_max"], t.values["limits.session_expiry_v3"] = value, value
	return Kept, "limits.session_expiry_max and session_expiry_v3: " + value
}

func logDestination(_ *translator, d *mosquittoconf.Directive) (Verdict, string) {
	if d.Args == "stderr" {
		return Kept, "the log goes to standard error"
	}
	return Refused, "the log goes to standard error, where a service manager takes it"
}

// logType raises the level to the most talkative type that is asked for.
func logType(t *translator, d *mosquittoconf.Directive) (Verdict, string) {
	levels := []string{"error", "warn", "info", "debug"}
	rank := map[string]int{
		"error": 0, "none": 0, "warning": 1, "notice": 2, "information": 2, "subscribe": 2, "unsubscribe": 2, "websockets": 2, "all": 3, "debug": 3,
	}
	level, known := rank[d.Args]
	if !known {
		return Refused, "it is not a type of log message"
	}
	for i, name := range levels {
		if t.values["log.level"] == name {
			level = max(level, i)
		}
	}
	t.values["log.level"] = levels[level]
	return Kept, "log.level: " + levels[level]
}
