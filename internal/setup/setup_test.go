package setup

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealmq/sealmq/internal/authn"
	"github.com/sealmq/sealmq/internal/ca"
	"github.com/sealmq/sealmq/internal/config"
)

// freePorts are not those that a broker on this machine may have.
func freePorts(t *testing.T) ports {
	t.Helper()
	var list [3]uint16
	for i := range list {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() //nolint:errcheck // test
		list[i] = uint16(l.Addr().(*net.TCPAddr).Port)
	}
	return ports{list[0], list[1], list[2]}
}

func mustMake(t *testing.T, o Options) *Made {
	t.Helper()
	o.Now = time.Now()
	if o.usual == (ports{}) {
		o.usual = freePorts(t)
	}
	made, err := Make(t.Context(), o)
	if err != nil || made == nil {
		t.Fatalf("%v %v", made, err)
	}
	return made
}

// TestFolders: what each profile makes is private, valid, and no more than it says.
func TestFolders(t *testing.T) {
	for profile, want := range map[Profile]struct {
		files     string
		listeners []string
		methods   []config.AuthMethod
	}{
		Home: {
			"admin.password ca.crl ca.crt ca.key passwd psk.txt sealmq.yaml server.crt server.key",
			[]string{"local", "tls", "psk"},
			[]config.AuthMethod{config.AuthByPSK, config.AuthByPassword},
		},
		Plant: {
			"admin.crt admin.key admin.password ca.crl ca.crt ca.key device1.crt device1.key passwd psk.txt sealmq.yaml server.crt server.key",
			[]string{"local", "tls", "psk"},
			[]config.AuthMethod{config.AuthByCertificate, config.AuthByPSK, config.AuthByPassword},
		},
		Strict: {
			"admin.crt admin.key ca.crl ca.crt ca.key device1.crt device1.key sealmq.yaml server.crt server.key",
			[]string{"tls"},
			[]config.AuthMethod{config.AuthByCertificate},
		},
	} {
		t.Run(string(profile), func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "data")
			made := mustMake(t, Options{Dir: dir, Profile: profile, Hosts: []string{"broker.lan", "192.0.2.99"}})
			if len(made.Notes) > 0 || made.Names[0] != "broker.lan" || !slices.Contains(made.Names, "localhost") {
				t.Errorf("%+v", made)
			}
			if got := list(t, dir); strings.Join(got, " ") != want.files {
				t.Errorf("files %v", got)
			}
			if got := list(t, parent); !slices.Equal(got, []string{"data"}) {
				t.Errorf("left beside the folder: %v", got)
			}
			for _, name := range append(list(t, dir), ".") {
				info, err := os.Stat(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				open := strings.HasSuffix(name, ".crt") || name == ca.ListFile
				if runtime.GOOS != "windows" && !open && info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s has mode %v", name, info.Mode())
				}
			}
			c, err := config.Load(filepath.Join(dir, config.FolderFile))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for i := range c.Listeners {
				l := &c.Listeners[i]
				names = append(names, l.Name)
				if !l.Encrypted() && !l.Loopback() {
					t.Errorf("the listener %s is open", l.Name)
				}
				if l.TLS.Cert != "" && (l.ClientCert.CA != "") != (profile != Home) {
					t.Errorf("client certificates of %s: %+v", l.Name, l.ClientCert)
				}
			}
			if !slices.Equal(names, want.listeners) || !slices.Equal(c.Auth.Order, want.methods) || c.Auth.Anonymous {
				t.Errorf("listeners %v, methods %v", names, c.Auth.Order)
			}
			if c.Node.DataDir != dir {
				t.Errorf("data in %s", c.Node.DataDir)
			}
			if len(c.Notes()) > 0 {
				t.Errorf("notes: %v", c.Notes())
			}
			checkServer(t, dir, "broker.lan", "192.0.2.99", "localhost", "127.0.0.1")
			checkAccess(t, dir, profile)
		})
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func checkServer(t *testing.T, dir string, hosts ...string) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	for _, h := range hosts {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: h}); err != nil {
			t.Errorf("%s: %v", h, err)
		}
	}
}

// checkAccess: what the folder says about getting in is true.
func checkAccess(t *testing.T, dir string, profile Profile) {
	t.Helper()
	a := Read(dir)
	if a.User != DefaultUser || (a.CertFile != "") != (profile != Home) || (a.Password != "") != (profile != Strict) || (a.PSK != "") != (profile != Strict) {
		t.Errorf("%+v", a)
	}
	if a.Password != "" {
		accounts, err := authn.LoadAccounts(filepath.Join(dir, passwordFile))
		if err != nil {
			t.Fatal(err)
		}
		if acc := accounts.Get(a.User); acc == nil || !acc.Password.Matches([]byte(a.Password)) || acc.Password.Weak() != "" || len(a.Password) != 24 {
			t.Error("the password is not that of the account")
		}
		if a.PSKIdentity != Device || len(a.PSK) != 64 {
			t.Errorf("key %q of %q", a.PSK, a.PSKIdentity)
		}
	}
	for _, name := range []string{"admin.password", "psk.txt", "admin.key"} {
		_ = os.Remove(filepath.Join(dir, name))
	}
	if a := Read(dir); a.Password != "" || a.PSK != "" || a.User != "" {
		t.Errorf("without the files: %+v", a)
	}
}

// TestMakeIsOnce: a folder that is there is not touched, one that is somebody else's is refused, and of two that make it
// at the same time one does.
func TestMakeIsOnce(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "data")
	usual := freePorts(t)
	var all sync.WaitGroup
	made := make([]*Made, 4)
	for i := range made {
		all.Go(func() {
			m, err := Make(t.Context(), Options{Dir: dir, Now: time.Now(), usual: usual})
			if err != nil {
				t.Error(err)
			}
			made[i] = m
		})
	}
	all.Wait()
	if n := len(slices.DeleteFunc(made, func(m *Made) bool { return m == nil })); n != 1 {
		t.Errorf("made %d times", n)
	}
	before, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := Make(t.Context(), Options{Dir: dir, Now: time.Now()}); err != nil || m != nil {
		t.Errorf("again: %v %v", m, err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "ca.crt")); string(after) != string(before) {
		t.Error("the folder was made again")
	}
	used := filepath.Join(parent, "used")
	if err := errors.Join(os.Mkdir(used, 0o700), os.WriteFile(filepath.Join(used, "x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Make(t.Context(), Options{Dir: used, Now: time.Now()}); !errors.Is(err, ErrOccupied) {
		t.Errorf("a folder of somebody else: %v", err)
	}
	if got := list(t, used); !slices.Equal(got, []string{"x"}) {
		t.Errorf("left in it: %v", got)
	}
	empty := filepath.Join(parent, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	mustMake(t, Options{Dir: empty})
}

// TestNothingHalf: after a failure there is no folder, and what a crash left behind does not stop the next attempt.
func TestNothingHalf(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "data")
	for name, o := range map[string]Options{
		"profile":  {Profile: "garden"},
		"host":     {Hosts: []string{"a b"}},
		"user":     {User: "../x"},
		"file":     {User: "server"},
		"too late": {Now: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		o.Dir = dir
		if _, err := Make(t.Context(), o); err == nil {
			t.Errorf("%s: made", name)
		}
		if got := list(t, parent); len(got) > 0 {
			t.Errorf("%s: left behind: %v", name, got)
		}
	}
	crashed := filepath.Join(parent, ".data.new")
	if err := errors.Join(os.Mkdir(crashed, 0o700), os.WriteFile(filepath.Join(crashed, "ca.key"), []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	mustMake(t, Options{Dir: dir})
	if got := list(t, parent); !slices.Equal(got, []string{"data"}) {
		t.Errorf("left behind: %v", got)
	}
}

// TestBusyPort: a port that is taken is named with its owner, and the next one is written down.
func TestBusyPort(t *testing.T) {
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close() //nolint:errcheck // test
	usual := freePorts(t)
	usual.local = uint16(held.Addr().(*net.TCPAddr).Port)
	dir := filepath.Join(t.TempDir(), "data")
	made := mustMake(t, Options{Dir: dir, usual: usual})
	c, err := config.Load(filepath.Join(dir, config.FolderFile))
	if err != nil {
		t.Fatal(err)
	}
	got := c.Listeners[0].Bind.Port()
	if got == usual.local || got < usual.local {
		t.Errorf("port %d, and %d is taken", got, usual.local)
	}
	if len(made.Notes) != 1 || !strings.HasPrefix(made.Notes[0], fmt.Sprintf("port %d: the address is in use by ", usual.local)) ||
		!strings.Contains(made.Notes[0], fmt.Sprintf("the listener local has port %d instead", got)) {
		t.Errorf("notes %q", made.Notes)
	}
	if runtime.GOOS == "linux" && !strings.Contains(made.Notes[0], fmt.Sprintf("(process %d)", os.Getpid())) {
		t.Errorf("notes %q", made.Notes)
	}
}

func TestRenew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	mustMake(t, Options{Dir: dir, Profile: Home})
	file := filepath.Join(dir, "server.crt")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if said, err := Renew(dir, time.Now().AddDate(0, 0, 200)); said != "" || err != nil {
		t.Errorf("%q %v", said, err)
	}
	if after, _ := os.ReadFile(file); string(after) != string(before) {
		t.Error("a certificate with half its life was renewed")
	}
	said, err := Renew(dir, time.Now().AddDate(0, 0, 380))
	if err != nil || !strings.Contains(said, "renewed until") {
		t.Errorf("%q %v", said, err)
	}
	if after, _ := os.ReadFile(file); string(after) == string(before) {
		t.Error("the certificate is the old one")
	}
	checkKey(t, dir)
	if err := os.Remove(filepath.Join(dir, ca.KeyFile)); err != nil { // kept elsewhere
		t.Fatal(err)
	}
	if said, err := Renew(dir, time.Now().AddDate(0, 0, 770)); said != "" || err != nil {
		t.Errorf("%q %v", said, err)
	}
}

func checkKey(t *testing.T, dir string) {
	t.Helper()
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")); err != nil {
		t.Error(err)
	}
}

// TestOptionsAreChecked: what cannot be a name of a user, a host or a profile is refused in words, and nothing is made.
func TestOptionsAreChecked(t *testing.T) {
	for want, o := range map[string]Options{
		`"server" is the name of a file here`:           {User: "server"},
		`"device1" is the name of a file here`:          {User: Device, Profile: Plant},
		`"passwd" is the name of a file here`:           {User: "passwd", Profile: Strict},
		"user name: ":                                   {User: "../admin"},
		`"other" is not a profile`:                      {Profile: "other"},
		`"not a host" is not a host name or an address`: {Hosts: []string{"broker.lan", "not a host"}},
	} {
		parent := t.TempDir()
		o.Dir, o.Now, o.usual = filepath.Join(parent, "data"), time.Now(), freePorts(t)
		if made, err := Make(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %+v, %v, want %s", o, made, err, want)
		}
		if entries, err := os.ReadDir(parent); err != nil || len(entries) > 0 {
			t.Errorf("%+v: left behind %v, %v", o, entries, err)
		}
	}
	dir := t.TempDir()
	if Exists(dir) {
		t.Error("an empty folder has a configuration")
	}
	if err := os.Mkdir(filepath.Join(dir, config.FolderFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if Exists(dir) {
		t.Error("a folder is a configuration")
	}
}

// TestReadIsSureOrSilent: what a folder gives access with is told only where it is clear whose it is, and readable by its
// owner alone.
func TestReadIsSureOrSilent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	mustMake(t, Options{Dir: dir, Profile: Plant})
	whole := Read(dir)
	if whole.User != DefaultUser || whole.Password == "" || whole.CertFile == "" || whole.PSKIdentity != Device || len(whole.PSK) != 64 {
		t.Errorf("%+v", whole)
	}
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]string{
		"# none\n\n": "", "a:00112233445566778899aabbccddeeff\n": "a", "\n# c\n a:00112233445566778899aabbccddeeff\nb:junk\n": "a", "a:0011\n": "", "a\n": "",
	} {
		write(pskFile, text, 0o600)
		if got := Read(dir); got.PSKIdentity != want || (got.PSK == "") != (want == "") {
			t.Errorf("%q: %q, %q", text, got.PSKIdentity, got.PSK)
		}
	}
	write("second"+secretSuffix, "x\n", 0o600)
	if got := Read(dir); got.Password != "" || got.User != DefaultUser || got.CertFile == "" {
		t.Errorf("two passwords: %+v", got)
	}
	if err := os.Remove(filepath.Join(dir, DefaultUser+secretSuffix)); err != nil {
		t.Fatal(err)
	}
	if got := Read(dir); got.User != "second" || got.CertFile != "" || got.KeyFile != "" {
		t.Errorf("a password of one and a certificate of another: %+v", got)
	}
	strict := filepath.Join(t.TempDir(), "strict")
	mustMake(t, Options{Dir: strict, Profile: Strict})
	if got := Read(strict); got.User != DefaultUser || got.CertFile == "" || got.KeyFile == "" {
		t.Errorf("one person: %+v", got)
	}
	authority, err := ca.Open(strict)
	if err == nil {
		_, err = authority.Issue(ca.Request{Name: "second", Profile: ca.Operator}, time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := Read(strict); got.CertFile != "" || got.KeyFile != "" {
		t.Errorf("two people: %+v", got)
	}
	if runtime.GOOS == "windows" {
		return
	}
	write("second"+secretSuffix, "x\n", 0o644)
	write(pskFile, "a:00112233445566778899aabbccddeeff\n", 0o644)
	if got := Read(dir); got.Password != "" || got.PSK != "" {
		t.Errorf("files that others can read: %+v", got)
	}
}
