//go:build interop

package protect

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// second is the implementation in scripts/mqtt1.py: its keys as sealmq imports them, and messages it has made.
type second struct {
	Keys []struct {
		Args             []string        `json:"args"`
		Receiver, Sender string          // COSE_Key in hexadecimal, with the secrets that each side has
		Record           json.RawMessage `json:"record"`
	}
	Cases []struct {
		Name        string
		Verifies    bool
		Message     string
		Topic       string
		Payload     string
		Client      string
		TLS         bool
		Retain      bool
		Signer      string
		ContentType *int `json:"content_type"`
		Connect     *secondConnect
	}
}

type secondConnect struct {
	Client string  `json:"client"`
	User   *string `json:"user"`
	Server string  `json:"server"`
	Level  int     `json:"level"`
}

func newSecond(t *testing.T) *second {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), python(t, "cryptography"), "scripts/mqtt1.py", "make").Output()
	if err != nil {
		t.Fatal(stderrOf(err))
	}
	s := new(second)
	if err := json.Unmarshal(out, s); err != nil {
		t.Fatal(err)
	}
	return s
}

func stderrOf(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w\n%s", err, exit.Stderr)
	}
	return err
}

// install imports the keys with the secrets of one side.
func (s *second) install(t *testing.T, dir, keyring string, file func(i int) string) {
	t.Helper()
	sealmq := ourTool(t)
	for i, k := range s.Keys {
		b, err := hex.DecodeString(file(i))
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, fmt.Sprint(keyring, i, ".cose"))
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		runIn(t, dir, sealmq, append([]string{"keys", "import", name, "--keyring", keyring}, k.Args...)...)
	}
}

// levelWord is the protocol level as sealmq calls it.
func levelWord(level int) string { return map[int]string{3: "31", 4: "311", 5: "5"}[level] }

// TestSecondImplementationToSealmq: every form that another implementation makes verifies, and what is wrong in one way
// does not.
func TestSecondImplementationToSealmq(t *testing.T) {
	s, dir, sealmq := newSecond(t), t.TempDir(), ourTool(t)
	s.install(t, dir, "receiver", func(i int) string { return s.Keys[i].Receiver })
	verified := 0
	for _, c := range s.Cases {
		t.Run(c.Name, func(t *testing.T) {
			args := []string{"inspect", "-", "--encoding", "hex", "--keyring", "receiver", "--json"}
			switch {
			case c.Connect != nil:
				args = append(args, "--credential", "--client-id", c.Connect.Client, "--server", c.Connect.Server, "-V", levelWord(c.Connect.Level))
				if c.Connect.User != nil {
					args = append(args, "--username="+*c.Connect.User)
				}
			default:
				args = append(args, "--topic", c.Topic)
				if c.Client != "" {
					args = append(args, "--client-id", c.Client)
				}
				if c.TLS {
					args = append(args, "--tls")
				}
				if c.Retain {
					args = append(args, "--retain")
				}
			}
			cmd := exec.CommandContext(t.Context(), sealmq, args...)
			cmd.Dir, cmd.Stdin = dir, strings.NewReader(c.Message)
			out, err := cmd.Output()
			var got struct {
				Verified *bool
				Label    string
				Payload  string
				Readable bool `json:"payload_readable"`
			}
			if len(out) > 0 {
				if err := json.Unmarshal(out, &got); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			shown := got.Verified != nil && *got.Verified
			if !c.Verifies {
				if err == nil || shown {
					t.Errorf("it verifies: %s", out)
				}
				if !got.Readable && strings.Contains(got.Payload, c.Payload) {
					t.Errorf("the plaintext is shown: %s", out)
				}
				return
			}
			if err != nil || !shown {
				t.Fatalf("%v: %s", stderrOf(err), out)
			}
			verified++
			if c.Connect == nil && got.Payload != c.Payload {
				t.Errorf("payload %s", got.Payload)
			}
			if c.Signer != "" && !strings.Contains(got.Label, c.Signer) {
				t.Errorf("label %q, signer %s", got.Label, c.Signer)
			}
		})
	}
	if verified < 80 || len(s.Cases)-verified < 80 {
		t.Errorf("%d cases verified of %d", verified, len(s.Cases))
	}
}

var shownEnvelope = regexp.MustCompile(`(?m)^sealmq: envelope: (message|will) for (\S+), \d+ bytes: ([0-9a-f]+)$`)

// made is what the second implementation is asked to open.
type made struct {
	name    string
	Topic   string         `json:"topic"`
	Message string         `json:"message"`
	Client  string         `json:"client,omitempty"`
	TLS     bool           `json:"tls,omitempty"`
	Connect map[string]any `json:"connect,omitempty"`
	want    string
}

// TestSealmqToSecondImplementation: it opens every form that sealmq makes.
func TestSealmqToSecondImplementation(t *testing.T) {
	s, dir, sealmq, port := newSecond(t), t.TempDir(), ourTool(t), startMosquitto(t)
	s.install(t, dir, "sender", func(i int) string { return s.Keys[i].Sender })
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte("pencil\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var all []made
	publish := func(name, client string, args ...string) {
		base := []string{
			"pub", "-p", port, "-t", "plant/ü/1", "-m", "made by sealmq", "--keyring", "sender", "-i", client, "--show-envelope",
			"--will-topic", "plant/will", "--will-payload", "gone",
		}
		cmd := exec.CommandContext(t.Context(), sealmq, append(base, args...)...)
		cmd.Dir = dir
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, stderr.String())
			return
		}
		found := shownEnvelope.FindAllStringSubmatch(stderr.String(), -1)
		if len(found) == 0 {
			t.Errorf("%s: nothing was shown\n%s", name, stderr.String())
		}
		for _, m := range found {
			want := "made by sealmq"
			if m[1] == "will" {
				want = "gone"
			}
			all = append(all, made{name: name + ", " + m[1], Topic: m[2], Message: m[3], Client: client, TLS: true, want: hex.EncodeToString([]byte(want))})
		}
	}
	for key, more := range map[string][]string{
		"r": {"--sender-id", "0x002a"}, "r256": {"--sender-id", "0x" + strings.Repeat("73", 64)}, "r-short": {"--sender-id", "0x78"}, "r-long": nil,
		"r-fixed": nil, "r-free": {"--sender-id", "0x002a"}, "r-client": nil, "r-age": {"--sender-id", "0x002a", "--ttl", "60"},
		"s": {"--sender-id", "0x002a", "--content-format", "42"}, "s256": {"--sender-id", "0x002a"}, "s-fixed": nil, "s-client": nil,
	} {
		publish(key, "dev-1", append([]string{"--protect", "encrypt", "--key", key}, more...)...)
	}
	for key, more := range map[string][]string{"mac": {"--sender-id", "0x002a"}, "mac-fixed": nil} {
		publish(key, "dev-1", append([]string{"--protect", "mac", "--key", key}, more...)...)
	}
	for _, key := range []string{"ed", "es", "ed-any", "ed32", "ed-2a", "ed-client"} {
		publish(key, "dev-1", "--protect", "sign", "--key", key)
	}
	plainWill := []string{"--will-protect", "none"} // an unknown sender has no order, and a will needs one
	publish("r-any", "c", append([]string{"--protect", "encrypt", "--key", "r-any"}, plainWill...)...)
	publish("mac-any", "c", append([]string{"--protect", "mac", "--key", "mac-any"}, plainWill...)...)
	publish("to", "c", append([]string{"--protect", "encrypt", "--to", "to"}, plainWill...)...)
	publish("to256", "c", append([]string{"--protect", "encrypt", "--to", "to256"}, plainWill...)...)
	publish("to two", "c", append([]string{"--protect", "encrypt", "--to", "to", "--to", "to2"}, plainWill...)...)
	publish("up", "dev-1", "--protect", "encrypt", "--to", "up")
	publish("up, signed", "dev-1", "--protect", "sign+encrypt", "--key", "ed-client", "--to", "up")
	publish("to, signed", "c", "--protect", "sign+encrypt", "--key", "es", "--to", "to")
	publish("to two, signed", "c", "--protect", "sign+encrypt", "--key", "ed", "--to", "to", "--to", "to2", "--ttl", "60")
	publish("r, signed", "c", "--protect", "sign+encrypt", "--key", "ed-2a", "--key-name", "r")
	publish("s, signed", "c", "--protect", "sign+encrypt", "--key", "ed-2a", "--key-name", "s", "--content-format", "42")
	publish("r-any, signed", "c", append([]string{"--protect", "sign+encrypt", "--key", "ed", "--key-name", "r-any"}, plainWill...)...)

	for _, key := range []string{"p1", "p1-256", "p2", "p2-16", "p2-less", "p3", "p3-es", "p3-mine"} {
		for level := 3; level <= 5; level++ {
			for _, user := range []any{"dev-1", "", nil} {
				form, _, _ := strings.Cut(key, "-")
				args := []string{"credential", "--type", form, "--key", key, "--client-id", "dev-1", "--server", "plant", "-V", levelWord(level), "--keyring", "sender"}
				want := ""
				if form == "p1" {
					args, want = append(args, "--password-file", "password"), hex.EncodeToString([]byte("pencil"))
				}
				if user != nil {
					args = append(args, "--username="+user.(string))
				}
				all = append(all, made{
					name: fmt.Sprint(key, level, user), Message: strings.TrimSpace(string(runIn(t, dir, sealmq, args...))), want: want,
					Connect: map[string]any{"level": level, "client_id": "dev-1", "username": user, "server": "plant"},
				})
			}
		}
	}
	s.open(t, all)
}

// open has the second implementation open all messages, and those for another topic or client, which it refuses.
func (s *second) open(t *testing.T, all []made) {
	t.Helper()
	records := make([]json.RawMessage, len(s.Keys))
	for i := range s.Keys {
		records[i] = s.Keys[i].Record
	}
	elsewhere := make([]made, len(all))
	for i, m := range all {
		m.Topic += "x"
		if m.Connect != nil {
			other := map[string]any{}
			for k, v := range m.Connect {
				other[k] = v
			}
			other["client_id"] = "dev-2"
			m.Connect = other
		}
		elsewhere[i] = m
	}
	for moved, list := range [][]made{all, elsewhere} {
		in, err := json.Marshal(map[string]any{"keys": records, "cases": list})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), python(t, "cryptography"), "scripts/mqtt1.py", "open")
		cmd.Stdin = bytes.NewReader(in)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(stderrOf(err))
		}
		var got []string
		if err := json.Unmarshal(out, &got); err != nil || len(got) != len(list) {
			t.Fatalf("%v, %d of %d", err, len(got), len(list))
		}
		for i, m := range list {
			if moved == 0 && got[i] != m.want {
				t.Errorf("%s: got %q, want %q", m.name, got[i], m.want)
			}
			if moved == 1 && !strings.HasPrefix(got[i], "refused: ") {
				t.Errorf("%s, moved: opened as %q", m.name, got[i])
			}
		}
	}
	t.Logf("%d messages opened, %d moved ones refused", len(all), len(elsewhere))
}
