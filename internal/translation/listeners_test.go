package translation

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/internal/config"
)

// whatIsThere refuses files that are not there.
func whatIsThere(f Copy) error {
	if _, err := os.Stat(f.From); err != nil {
		return errors.New("no such file")
	}
	return nil
}

// TestListenersThatWouldBeWider: a listener whose clients would get in by a login of another one, with the rules or keys of
// another one, or from further away, is left out, and the reason is said; its neighbours stay.
func TestListenersThatWouldBeWider(t *testing.T) {
	dir := home(t)
	const (
		per    = "per_listener_settings true\n"
		mutual = "certfile s\nkeyfile k\ncafile c\nrequire_certificate true\n"
		named  = "use_identity_as_username true\n"
		psk    = "psk_hint h\npsk_file psk.txt\n"
		none   = "local=127.0.0.1:1883"
	)
	// What is offered because of a listener that is left out would be offered to the others.
	logins := map[string]string{
		"rules of two kinds": "", "no keys": "", "keys that are gone": "", "certificates and keys could": "certificate:{cn} psk password",
		"names of two kinds": "certificate:{cn}", "certificates of a listener that is left out": "password", "keys of a listener that is left out": "password",
		"keys with a password as well": "psk password", "certificates with a password as well": "certificate:{cn} password",
		"files of a listener that is left out": "password", "nobody without the accounts": "",
	}
	for name, c := range map[string]struct {
		text, listeners string
		anonymous       bool
		why             string // in a line or a note
	}{
		"rules of two kinds": {
			per + "listener 1 127.0.0.1\nallow_anonymous true\nacl_file acl\nlistener 2 127.0.0.1\nallow_anonymous true\nacl_file other\n", "port-1=127.0.0.1:1", true, "its rules are those of",
		},
		"the same rules":    {per + "listener 1 127.0.0.1\nacl_file acl\nlistener 2 127.0.0.1\nacl_file acl\n", "port-1=127.0.0.1:1 port-2=127.0.0.1:2", false, "acl.mosquitto: acl"},
		"keys of two kinds": {per + "listener 1\n" + psk + named + "listener 2\npsk_hint h\npsk_file other\n" + named, "port-1=[::]:1", false, "its pre-shared keys are those of"},
		"files of a listener that is left out": {
			per + "listener 1\nmount_point m\npassword_file other\nlistener 2 127.0.0.1\npassword_file passwd\n", "port-2=127.0.0.1:2", false, "auth.password.file: passwd",
		},
		"no keys":            {"listener 1\npsk_hint h\nallow_anonymous true\n", none, false, "there are no pre-shared keys for it"},
		"keys that are gone": {"listener 1\npsk_hint h\npsk_file absent\n" + named, none, false, "it cannot be used: no such file"},
		"nobody could log in": {
			per + "listener 1 127.0.0.1\npassword_file passwd\nlistener 2 127.0.0.1\n", "port-1=127.0.0.1:1", false, "nobody could log in to it before",
		},
		"certificates and keys could": {
			per + "listener 1 127.0.0.1\npassword_file passwd\nlistener 2\n" + mutual + named + "listener 3\n" + psk + named,
			"port-1=127.0.0.1:1 port-2=[::]:2 port-3=[::]:3", false, "",
		},
		"names of two kinds": {
			"listener 1\n" + mutual + named + "listener 2\n" + mutual + "use_subject_as_username true\n", "port-1=[::]:1", false, "certificates are named by {cn} on another listener",
		},
		"certificates with a password as well": {
			"password_file passwd\nlistener 1\n" + mutual + "listener 2\n" + mutual + named + "listener 3\ncertfile s\nkeyfile k\n",
			"port-2=[::]:2 port-3=[::]:3", false, "a certificate alone would log in here",
		},
		"certificates of a listener that is left out": {
			"password_file passwd\nlistener 1\nmount_point m\n" + mutual + named + "listener 2\n" + mutual, "port-2=[::]:2", false, "",
		},
		"keys of a listener that is left out": {
			"password_file passwd\npsk_file psk.txt\nlistener 1\nmount_point m\npsk_hint h\n" + named + "listener 2\npsk_hint h\n", "port-2=[::]:2", false, "",
		},
		"keys with a password as well": {
			"password_file passwd\npsk_file psk.txt\nlistener 1\npsk_hint h\nlistener 2\npsk_hint h\n" + named, "port-2=[::]:2", false, "a pre-shared key alone would log in here",
		},
		"certificate and keys":      {"listener 1\ncertfile s\nkeyfile k\n" + psk, none, false, "certificates or pre-shared keys, not both"},
		"client certificates alone": {"listener 1 127.0.0.1\nrequire_certificate true\ncafile c\n", none, false, "require_certificate needs certfile"},
		"a folder of authorities":   {"listener 1\n" + mutual + "capath d\n", none, false, "must be one file"},
		"no authorities":            {"listener 1\ncertfile s\nkeyfile k\nrequire_certificate true\n", none, false, "must be one file"},
		"no client certificates": {
			"listener 1\ncertfile s\nkeyfile k\ncafile c\nrequire_certificate false\ncrlfile l\npassword_file passwd\n", "port-1=[::]:1", false, "client certificates are not asked for",
		},
		"places on this machine": {
			"listener 1 localhost\nlistener 2 ::ffff:127.0.0.1\nlistener 3 127.0.0.1\nsocket_domain ipv6\nlistener 4 ::1\nbind_interface eth0\n",
			"port-1=127.0.0.1:1 port-2=127.0.0.1:2 port-3=127.0.0.1:3 port-4=[::1]:4", false, "",
		},
		"places elsewhere":         {"listener 1 192.0.2.1\nlistener 2 0.0.0.0\nallow_anonymous true\n", "port-2=127.0.0.1:2", true, "other machines can reach it"},
		"one address family":       {"password_file passwd\nlistener 1\nsocket_domain ipv4\ncertfile s\nkeyfile k\n", "port-1=0.0.0.0:1", false, ""},
		"the other address family": {"password_file passwd\nlistener 1\nsocket_domain ipv6\ncertfile s\nkeyfile k\n", none, false, "it was for IPv6 only"},
		"one interface": {
			"password_file passwd\nlistener 1 192.0.2.1\nbind_interface eth0\ncertfile s\nkeyfile k\nlistener 2\nbind_interface eth0\ncertfile s\nkeyfile k\n",
			"port-1=192.0.2.1:1", false, "it was for one interface only",
		},
		"no ports":                {"listener x\nlistener 0 relative\nlistener 0\nlistener 99999\n", none, false, "it has no port"},
		"no socket":               {"listener 0 relative\n", none, false, "a Unix socket needs an absolute path"},
		"no words":                {"listener\n", "port-1883=127.0.0.1:1883", false, ""},
		"before the first":        {"protocol websockets\nlistener 1 127.0.0.1\n", "port-1=127.0.0.1:1", false, "it stands before the first listener"},
		"bound without a port":    {"bind_address 127.0.0.1\n", "port-1883=127.0.0.1:1883", false, ""},
		"bound elsewhere":         {"bind_address 192.0.2.1\nallow_anonymous true\n", none, false, "only clients of this machine may be anonymous"},
		"bound below a listener":  {"listener 1 127.0.0.1\nbind_address 192.0.2.1\n", "port-1=127.0.0.1:1", false, "it is not about the listener above it"},
		"one port, two addresses": {"listener 1 127.0.0.1\nlistener 1 127.0.0.2\n", "port-1=127.0.0.1:1 port-1-2=127.0.0.2:1", false, ""},
		"one socket twice":        {"listener 0 /run/m\nlistener 0 /run/m\n", "unix=unix:/run/m", false, "its port is that of the listener unix"},
		"nobody where one wants a login": {
			per + "listener 1 127.0.0.1\nallow_anonymous true\nlistener 2 127.0.0.1\nallow_anonymous false\npassword_file passwd\n", "port-1=127.0.0.1:1 port-2=127.0.0.1:2", false, "because another listener wants a login",
		},
		"nobody without the accounts": {"listener 1 127.0.0.1\nallow_anonymous true\npassword_file absent\n", "port-1=127.0.0.1:1", false, "because the accounts are gone"},
	} {
		r, got := translate(t, dir, c.text, Options{Usable: whatIsThere})
		said := describe(r) + strings.Join(r.Notes, "\n")
		if n := names(got); n != c.listeners || got.Auth.Anonymous != c.anonymous || !strings.Contains(said, c.why) {
			t.Errorf("%s: listeners %s, anonymous %v, want %s, %v, %q\n%s", name, n, got.Auth.Anonymous, c.listeners, c.anonymous, c.why, said)
		}
		login := ""
		if id := got.Auth.Certificate.Identity; id != "" {
			login += "certificate:" + id + " "
		}
		if got.Auth.PSK {
			login += "psk "
		}
		if got.Auth.Password.File != "" {
			login += "password"
		}
		if want, looked := logins[name]; looked && strings.TrimSpace(login) != want {
			t.Errorf("%s: login by %s, want %s", name, login, want)
		}
		if c.anonymous != strings.Contains(said, "auth.anonymous: true") && strings.Contains(c.text, "allow_anonymous true") {
			t.Errorf("%s: said %s", name, said)
		}
	}
	secret := describe(func() *Result {
		r, _ := translate(t, dir, "listener 1 127.0.0.1\nuse_subject_as_username true\nconnection b\nremote_username geheim\n", Options{})
		return r
	}())
	if strings.Contains(secret, "geheim") || !strings.Contains(secret, "use_subject_as_username true") {
		t.Error(secret)
	}
}

// TestNumbers: what was without a bound has one, what was beyond it is at it, and what is no number changes nothing.
func TestNumbers(t *testing.T) {
	dir := home(t)
	_, plain := translate(t, dir, "", Options{})
	of := &plain.Limits
	for text, c := range map[string]struct {
		verdicts string
		check    func(l *config.Limits) bool
	}{
		"max_inflight_messages -2\n":                    {"r", func(l *config.Limits) bool { return l.Inflight == of.Inflight }},
		"max_inflight_messages -1\n":                    {"k", func(l *config.Limits) bool { return l.Inflight == 65535 }},
		"max_inflight_messages 65535\n":                 {"k", func(l *config.Limits) bool { return l.Inflight == 65535 }},
		"max_inflight_messages 65536\n":                 {"t", func(l *config.Limits) bool { return l.Inflight == 65535 }},
		"max_packet_size 255\n":                         {"k", func(l *config.Limits) bool { return l.Packet == 256 }},
		"max_packet_size 257\n":                         {"k", func(l *config.Limits) bool { return l.Packet == 257 }},
		"max_queued_bytes -1\n":                         {"t", func(l *config.Limits) bool { return l.Queue.Bytes == of.Queue.Bytes }},
		"message_size_limit 0\n":                        {"t", func(l *config.Limits) bool { return l.Packet == of.Packet }},
		"message_size_limit -1\n":                       {"r", func(l *config.Limits) bool { return l.Packet == of.Packet }},
		"message_size_limit x\n":                        {"r", func(l *config.Limits) bool { return l.Packet == of.Packet }},
		"message_size_limit 100\nmax_packet_size 300\n": {"kk", func(l *config.Limits) bool { return l.Packet == 300 }},
		"persistent_client_expiration 2x\n":             {"r", func(l *config.Limits) bool { return l.SessionExpiryV3 == of.SessionExpiryV3 }},
		"persistent_client_expiration 0d\n":             {"r", func(l *config.Limits) bool { return l.SessionExpiryV3 == of.SessionExpiryV3 }},
		"persistent_client_expiration xd\n":             {"r", func(l *config.Limits) bool { return l.SessionExpiryV3 == of.SessionExpiryV3 }},
		"persistent_client_expiration\n":                {"r", func(l *config.Limits) bool { return l.SessionExpiryV3 == of.SessionExpiryV3 }},
		"persistent_client_expiration 1h\n":             {"k", func(l *config.Limits) bool { return l.SessionExpiryV3.Hours() == 1 && l.SessionExpiryMax.Hours() == 1 }},
		"persistent_client_expiration 876000h\n":        {"k", func(l *config.Limits) bool { return l.SessionExpiryV3.Hours() == 876000 }},
		"persistent_client_expiration 876001h\n":        {"r", func(l *config.Limits) bool { return l.SessionExpiryV3 == of.SessionExpiryV3 }},
		"retain_available true\n":                       {"k", func(l *config.Limits) bool { return l.Retained.Messages == of.Retained.Messages }},
		"listener 1 127.0.0.1\nmax_topic_alias 5\nlistener 2 127.0.0.1\nmax_topic_alias 3\nlistener 3 127.0.0.1\nmax_topic_alias 9\nmax_topic_alias x\n": {
			"kkkkkkr", func(l *config.Limits) bool { return l.TopicAliasMaximum == 3 },
		},
	} {
		r, got := translate(t, dir, text, Options{})
		if v := verdicts(r); v != c.verdicts || !c.check(&got.Limits) {
			t.Errorf("%q: verdicts %s, want %s\n%s", text, v, c.verdicts, r.YAML)
		}
	}
	for text, want := range map[string]struct {
		verdict string
		most    int
	}{
		"0": {"t", defaultClients}, "1": {"k", 1}, "x": {"t", defaultClients}, "20000": {"k", 20_000}, "20001": {"t", defaultClients},
		"7\nglobal_max_clients 6": {"tk", 6}, "7\nglobal_max_clients 7": {"kk", 7}, "30000\nglobal_max_clients 40000": {"kk", 30_000},
	} {
		r, got := translate(t, dir, "listener 1 127.0.0.1\nmax_connections "+text+"\n", Options{})
		if verdicts(r) != "k"+want.verdict || got.Listeners[0].MaxClients != want.most {
			t.Errorf("max_connections %s: %s, %d", text, verdicts(r), got.Listeners[0].MaxClients)
		}
	}
	for text, want := range map[string]config.LogLevel{
		"log_type error\n": config.LevelError, "log_type warning\nlog_type error\n": config.LevelWarn, "log_type error\nlog_type warning\nlog_type loud\n": config.LevelWarn,
	} {
		if _, got := translate(t, dir, text, Options{}); got.Log.Level != want {
			t.Errorf("%q: %v", text, got.Log.Level)
		}
	}
	r, got := translate(t, dir, "log_dest stderr\nlog_dest syslog\nlistener 1\ncertfile s\nkeyfile k\ntls_version tlsv1.1\nuse_username_as_clientid false\n", Options{})
	if verdicts(r) != "krkkktk" || got.Listeners[0].TLS.MinVersion != config.TLS12 {
		t.Error(describe(r))
	}
}

// TestNothingWhereItCannotBeTold: what decided about access and is not taken over, or was not even read, allows nothing; and
// the notes say so, and what is different for everybody.
func TestNothingWhereItCannotBeTold(t *testing.T) {
	dir := home(t)
	const open = "listener 1 127.0.0.1\nallow_anonymous true\n"
	for text, c := range map[string]struct {
		nothing, anonymous bool
		notes              string // parts of one, separated by |
	}{
		open:                           {false, true, "packets have at most|sessions of MQTT 3|topics that begin with $"},
		open + "include_dir d\n":       {true, false, "because of what could not be read|include_dir was not followed"},
		open + "clientid_prefixes a\n": {true, true, "mosquitto.conf:3 clientid_prefixes"},
		open + "plugin /x/other.so\n":  {true, true, "mosquitto.conf:3 plugin"},
		open + "global_plugin /x.so\n": {true, true, "mosquitto.conf:3 global_plugin"},
		open + "plugin_load x /x.so\n": {true, true, "mosquitto.conf:3 plugin_load"},
		open + "auth_plugin /x.so\n":   {true, true, "mosquitto.conf:3 auth_plugin"},
		open + "auth_opt_x geheim\n":   {false, true, ""},
		open + "max_packet_size 1000\npersistent_client_expiration 1d\n":                      {false, true, ""},
		open + "plugin_load x /x/mosquitto_acl_file.so\nplugin_use x\n":                       {false, true, ""},
		open + "listener 2 127.0.0.1\nplugin_load x /x/mosquitto_acl_file.so\nplugin_use x\n": {true, true, "mosquitto.conf:5 plugin_use"},
		"listener x\n": {false, false, "no listener could be taken over"},
	} {
		r, got := translate(t, dir, text, Options{Usable: whatIsThere})
		if nothingAllowed(got) != c.nothing || got.Auth.Anonymous != c.anonymous {
			t.Errorf("%q: nothing is allowed %v, anonymous %v\n%s", text, nothingAllowed(got), got.Auth.Anonymous, r.YAML)
		}
		notes := strings.Join(r.Notes, "\n")
		for part := range strings.SplitSeq(c.notes, "|") {
			if !strings.Contains(notes, part) {
				t.Errorf("%q: the notes do not say %q: %s", text, part, notes)
			}
		}
		if strings.Contains(notes, "nothing is allowed") != c.nothing || strings.Contains(notes, "no listener") != (c.notes == "no listener could be taken over") ||
			strings.Contains(notes, "packets have at most") == strings.Contains(text, "max_packet_size") ||
			strings.Contains(notes, "sessions of MQTT 3") == strings.Contains(text, "expiration") {
			t.Errorf("%q: %s", text, notes)
		}
		if strings.Contains(describe(r), "geheim") || r.Count(Kept)+r.Count(Tightened)+r.Count(Refused) != len(r.Lines) {
			t.Errorf("%q: %s", text, describe(r))
		}
	}
	long := strings.Repeat("é", 60)
	r, _ := translate(t, dir, "pid_file "+long+"\n", Options{})
	if got := r.Lines[0].Text; got != "pid_file "+strings.Repeat("é", 45)+"…" {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}
