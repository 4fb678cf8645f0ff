package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoFile: without any file nobody can log in, and nothing can be reached from elsewhere.
func TestNoFile(t *testing.T) {
	t.Chdir(t.TempDir())
	p, err := FromFlags(Flags{})
	if err != nil {
		t.Fatal(err)
	}
	c := p.Config
	if p.Dev || c.Auth.Anonymous || c.Auth.HasLogin() || len(c.Listeners) != 1 || c.Listeners[0].Bind.String() != "127.0.0.1:1883" {
		t.Errorf("got %+v", c)
	}
	if !filepath.IsAbs(c.Node.DataDir) || filepath.Base(c.Node.DataDir) != Folder || c.Storage.Engine != EngineDisk {
		t.Errorf("data in %s, engine %s", c.Node.DataDir, c.Storage.Engine)
	}
	if notes := strings.Join(p.Notes(), "\n"); !strings.Contains(notes, "nobody can log in") || !strings.Contains(notes, "no configuration file") {
		t.Errorf("notes: %q", notes)
	}
	if p.Home() != "" {
		t.Errorf("home %q", p.Home())
	}
}

// TestHome: the file of the folder is used when no other is named, of the one that --data names if it does.
func TestHome(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{Folder, "other", "empty"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for dir, name := range map[string]string{Folder: "one", "other": "two"} {
		if err := os.WriteFile(filepath.Join(dir, FolderFile), []byte("version: 1\nnode: {name: "+name+", data_dir: \".\"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		flags      Flags
		name, home string
	}{
		{Flags{}, "one", Folder},
		{Flags{Data: "other"}, "two", "other"},
		{Flags{Data: "empty"}, "sealmq", ""},
		{Flags{Dev: true}, "sealmq", ""},
		{Flags{Config: filepath.Join("other", FolderFile)}, "two", ""},
		{Flags{Config: filepath.Join("other", FolderFile), Data: Folder}, "two", ""},
	} {
		p, err := FromFlags(c.flags)
		if err != nil {
			t.Errorf("%+v: %v", c.flags, err)
			continue
		}
		if p.Config.Node.Name != c.name || p.Home() != c.home {
			t.Errorf("%+v: name %q, home %q", c.flags, p.Config.Node.Name, p.Home())
		}
		if c.home != "" {
			if next, _, err := p.Reload(); err != nil || next.Home() != c.home || filepath.Base(next.Config.Node.DataDir) != c.home {
				t.Errorf("%+v: reload: %v", c.flags, err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(Folder, FolderFile), []byte("nonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := FromFlags(Flags{}); err == nil {
		t.Error("a broken file was passed over")
	}
}

func TestDev(t *testing.T) {
	p, err := FromFlags(Flags{Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Dev || p.Config.Storage.Engine != EngineMemory || !p.Config.Listeners[0].Loopback() {
		t.Errorf("got %+v", p.Config)
	}
	if r := p.Config.ACL.Subscribe.Allow; len(r) != 2 || r[1] != (Rule{Filter: "$SYS/#"}) {
		t.Errorf("rules of the preset: %+v", r)
	}
	if !strings.Contains(strings.Join(p.Notes(), "\n"), "for trying") {
		t.Errorf("notes: %q", p.Notes())
	}
	kept, err := FromFlags(Flags{Dev: true, Data: "d"})
	if err != nil {
		t.Fatal(err)
	}
	if kept.Config.Storage.Engine != EngineDisk || kept.Config.Origin("node.data_dir").String() != "--data" {
		t.Errorf("with --data: %+v", kept.Config.Storage)
	}
}

func TestListen(t *testing.T) {
	p, err := FromFlags(Flags{Listen: []string{"mqtt://127.0.0.1:0", "mqtt://[::1]", "mqtt://localhost:1884/", "mqtt://127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range p.Config.Listeners {
		got = append(got, l.Name+"="+l.Bind.String())
		if l.MaxClients != p.Config.Limits.Clients || l.MaxPacket != p.Config.Limits.Packet {
			t.Errorf("%s is not complete: %+v", l.Name, l)
		}
	}
	want := "local=127.0.0.1:0 local-2=[::1]:1883 local-3=127.0.0.1:1884 local-4=127.0.0.1:0"
	if strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if out := strings.Join(strings.Fields(p.Config.YAML(true)), " "); !strings.Contains(out, `bind: "127.0.0.1:1884" # --listen`) {
		t.Errorf("origin of a listener:\n%s", out)
	}
}

func TestRefusedFlags(t *testing.T) {
	file := write(t, "version: 1\nstorage: {engine: memory}\n")
	for name, c := range map[string]struct {
		flags Flags
		why   string
	}{
		"all addresses":     {Flags{Listen: []string{"mqtt://0.0.0.0:1883"}}, "other machines can reach it"},
		"no address":        {Flags{Listen: []string{"mqtt://:1883"}}, "other machines can reach it"},
		"mapped":            {Flags{Listen: []string{"mqtt://[::ffff:192.0.2.1]:1883"}}, "other machines can reach it"},
		"dev all addresses": {Flags{Dev: true, Listen: []string{"mqtt://[::]:1883"}}, "other machines can reach it"},
		"not a URL":         {Flags{Listen: []string{"127.0.0.1:1883"}}, "not a URL"},
		"other scheme":      {Flags{Listen: []string{"mqtts://127.0.0.1:8883"}}, "scheme"},
		"path":              {Flags{Listen: []string{"mqtt://127.0.0.1:1883/x"}}, "nothing else"},
		"user":              {Flags{Listen: []string{"mqtt://a:b@127.0.0.1:1883"}}, "nothing else"},
		"empty":             {Flags{Listen: []string{"mqtt://"}}, "no address"},
		"name":              {Flags{Listen: []string{"mqtt://broker.example:1883"}}, "not looked up"},
		"port":              {Flags{Listen: []string{"mqtt://127.0.0.1:x"}}, "not a port"},
		"twice":             {Flags{Listen: []string{"mqtt://127.0.0.1", "mqtt://127.0.0.1:1883"}}, "already taken"},
		"useless data":      {Flags{Config: file, Data: "d"}, "no effect"},
	} {
		p, err := FromFlags(c.flags)
		var flag *FlagError
		if !errors.As(err, &flag) || p != nil || !strings.Contains(flag.Why, c.why) || flag.Hint == "" {
			t.Errorf("%s: got %v, want a refusal with %q", name, err, c.why)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sealmq.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFlagsOverFile(t *testing.T) {
	file := write(t, "version: 1\nnode: {data_dir: a}\nlisteners: [{name: x, bind: \"127.0.0.1:1\", max_clients: 1}]\n")
	p, err := FromFlags(Flags{Config: file, Data: "b", Listen: []string{"mqtt://127.0.0.1:2"}})
	if err != nil {
		t.Fatal(err)
	}
	c := p.Config
	if filepath.Base(c.Node.DataDir) != "b" || len(c.Listeners) != 1 || c.Listeners[0].Name != "local" || c.Listeners[0].MaxClients != 20000 {
		t.Errorf("got %+v", c)
	}
	if got := c.Origin("listeners[x].bind"); got != (Origin{}) {
		t.Errorf("a replaced listener left %v behind", got)
	}
	if _, err := FromFlags(Flags{Config: filepath.Join(t.TempDir(), "absent")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
}

func TestReload(t *testing.T) {
	file := write(t, "version: 1\nlimits: {clients: 10}\nlisteners: [{name: a, bind: \"127.0.0.1:1883\"}]\n")
	first, err := FromFlags(Flags{Config: file})
	if err != nil {
		t.Fatal(err)
	}
	rewrite := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	rewrite("version: 1\nlimits: {clients: 11}\nlisteners: [{name: a, bind: \"127.0.0.1:1883\"}]\nacl: {publish: {allow: [a]}}\n")
	second, changes, err := first.Reload()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range changes {
		got = append(got, strings.ReplaceAll(c.String(), file, "FILE"))
	}
	want := []string{
		`acl.publish.allow: ["#"] -> ["a"] (FILE:4)`,
		`acl.subscribe.allow: ["#"] -> []`,
		`limits.clients: 10 -> 11 (FILE:2)`,
		`listeners[a].max_clients: 10 -> 11`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("changes:\n%s", strings.Join(got, "\n"))
	}

	rewrite("version: 1\nlimits: {clients: 12}\nnode: {name: other}\nlisteners: [{name: b, bind: \"127.0.0.1:1884\"}]\n")
	next, changes, err := second.Reload()
	var restart *RestartError
	if !errors.As(err, &restart) || next != nil || changes != nil || len(restart.Changes) != 3 {
		t.Fatalf("restart-only keys: %v", err)
	}
	for _, word := range []string{"nothing was changed", `node.name: "sealmq" -> "other" (`, "listeners[a]: 127.0.0.1:1883 -> nothing", "listeners[b]: nothing -> 127.0.0.1:1884"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is missing in: %v", word, err)
		}
	}

	rewrite("version: 1\nlimts: {}\n")
	var invalid *Invalid
	if next, _, err := second.Reload(); !errors.As(err, &invalid) || next != nil {
		t.Errorf("broken file: %v", err)
	}
	if second.Config.Limits.Clients != 11 {
		t.Error("a refused reload changed the plan")
	}

	flags, err := FromFlags(Flags{Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := flags.Reload(); !errors.Is(err, errNoFile) {
		t.Errorf("without a file: %v", err)
	}
}
