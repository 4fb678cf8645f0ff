package authn

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealmq/sealmq/internal/identity"
)

// passwordLogin is a Login with one account file, and the count of hashes by their cost.
func passwordLogin(t testing.TB, change func(*Options), lines ...string) (*Login, *hashCount) {
	t.Helper()
	l := newLogin(t, func(o *Options) {
		o.Password = &PasswordOptions{File: accountFile(t, lines...)}
		if change != nil {
			change(o)
		}
	})
	n := &hashCount{}
	for _, m := range l.current.Load().methods {
		if p, ok := m.(*password); ok {
			p.hashed = n.add
		}
	}
	return l, n
}

type hashCount struct {
	mu    sync.Mutex
	costs []string
}

func (n *hashCount) add(v *Verifier) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.costs = append(n.costs, v.Cost())
}

// take returns the costs since the last call.
func (n *hashCount) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.costs
	n.costs = nil
	return c
}

// TestPassword: the class of refusal is the same for an unknown name and a wrong password, and so is the work, counted
// in hashes by their parameters: a clock on a busy machine could not tell.
func TestPassword(t *testing.T) {
	alice := "alice:" + cheap(t, "right").Encode()
	l, hashes := passwordLogin(t, nil, alice, "carl:passwordless", "sc:SCRAM-SHA-256$4096:hE+pnsdrv3oA6g5/7s8TsA==$RQkp7FC3fbCgLjAyzYdlGDXaRpXANufUJk19DF69v0g=:wEXAeXSNS4MRZXNloUyDNoFBqRbPHiIK8YFaqe6ksas=")
	one := []string{"argon2id m=8 t=1 p=1"}
	long := strings.Repeat("x", MaxPassword+1)
	for _, c := range []struct {
		name string
		cr   *identity.Credentials
		in   bool
		cost []string
	}{
		{"wrong password", userPassword("alice", "wrong"), false, one},
		{"unknown name", userPassword("mallory", "wrong"), false, one},
		{"unknown name with the password of another", userPassword("mallory", "right"), false, one},
		{"once more", userPassword("mallory", "right"), false, one},
		{"name with scram only", userPassword("sc", "wrong"), false, one},
		{"passwordless name with a password", userPassword("carl", "wrong"), false, one},
		{"too long", userPassword("alice", long), false, nil},
		{"too long, unknown name", userPassword("mallory", long), false, nil},
		{"empty password", userPassword("alice", ""), false, nil},
		{"empty password, unknown name", userPassword("mallory", ""), false, nil},
		{"no password", &identity.Credentials{HasUsername: true, Username: "alice"}, false, nil},
		{"password without a name", &identity.Credentials{Level: 5, HasPassword: true, Password: []byte("right")}, false, nil},
		{"empty name", userPassword("", "right"), false, nil},
		{"right", userPassword("alice", "right"), true, one},
		{"right, remembered", userPassword("alice", "right"), true, nil},
		{"wrong after right", userPassword("alice", "wrong"), false, one},
		{"passwordless", &identity.Credentials{HasUsername: true, Username: "carl"}, true, nil},
		{"passwordless, empty password", userPassword("carl", ""), true, nil},
	} {
		v := authenticate(t, l, local(), c.cr)
		if c.in {
			wantAccepted(t, v, identity.Principal{Method: "password", Name: c.cr.Username})
		} else {
			wantRefused(t, v, identity.NotAuthenticated, "password: ")
			if strings.Contains(v.Cause.Error(), "wrong") || strings.Contains(v.Cause.Error(), "right") {
				t.Errorf("%s: the cause shows the password: %v", c.name, v.Cause)
			}
		}
		if got := hashes.take(); !slices.Equal(got, c.cost) {
			t.Errorf("%s: hashes %v, want %v", c.name, got, c.cost)
		}
	}
}

// TestUnknownNamesCostLikeKnownOnes: in a file with two kinds of verifiers, unknown names are spread over both, and
// each stays with its own.
func TestUnknownNamesCostLikeKnownOnes(t *testing.T) {
	other := cheap(t, "b")
	other.passes = 2
	l, hashes := passwordLogin(t, nil, "a:"+cheap(t, "a").Encode(), "b:"+other.Encode())
	seen := map[string]int{}
	for i := range 64 {
		name := "unknown" + string(rune('A'+i))
		authenticate(t, l, local(), userPassword(name, "x"))
		authenticate(t, l, local(), userPassword(name, "y"))
		got := hashes.take()
		if len(got) != 2 || got[0] != got[1] {
			t.Fatalf("%s: %v", name, got)
		}
		seen[got[0]]++
	}
	if len(seen) != 2 || seen[other.Cost()] < 16 || seen[other.Cost()] > 48 {
		t.Errorf("costs %v", seen)
	}
}

// TestAttack34_EmptyFileLetsNobodyIn: with no account at all a password is still hashed, and refused.
func TestAttack34_EmptyFileLetsNobodyIn(t *testing.T) {
	l, hashes := passwordLogin(t, nil, "# nobody yet")
	wantRefused(t, authenticate(t, l, local(), userPassword("root", "root")), identity.NotAuthenticated)
	if diff := cmp.Diff([]string{"argon2id m=19456 t=2 p=1"}, hashes.take()); diff != "" {
		t.Error(diff)
	}
}

// TestUpgrade: a weak verifier is replaced at a login with the right password, in the file and in memory, only when
// that is allowed, and never at a wrong one.
func TestUpgrade(t *testing.T) {
	mosquitto, err := os.ReadFile("testdata/mosquitto.passwd")
	if err != nil {
		t.Fatal(err)
	}
	file := accountFile(t, strings.TrimSpace(string(mosquitto)), "# end")
	for _, upgrade := range []bool{false, true} {
		l := newLogin(t, func(o *Options) { o.Password = &PasswordOptions{File: file, Upgrade: upgrade} })
		wantRefused(t, authenticate(t, l, local(), userPassword("dave", "wrong")), identity.NotAuthenticated)
		wantAccepted(t, authenticate(t, l, local(), userPassword("eve", "epass")), identity.Principal{Method: "password", Name: "eve"})
		a, err := LoadAccounts(file)
		if err != nil {
			t.Fatal(err)
		}
		if weak := a.Get("eve").Password.Weak() != ""; weak == upgrade {
			t.Errorf("upgrade %v: weak %v", upgrade, weak)
		}
		if a.Get("dave").Password.Format() != Mosquitto7 || !strings.HasSuffix(string(a.Bytes()), "# end\n") {
			t.Errorf("upgrade %v changed more: %s", upgrade, a.Bytes())
		}
		wantAccepted(t, authenticate(t, l, local(), userPassword("eve", "epass")), identity.Principal{Method: "password", Name: "eve"})
	}
}

// TestUpgradeKeepsOtherPeoplesChanges: an account that was changed in the file meanwhile is left alone.
func TestUpgradeKeepsOtherPeoplesChanges(t *testing.T) {
	file := accountFile(t, "a:"+cheap(t, "old").Encode())
	l := newLogin(t, func(o *Options) { o.Password = &PasswordOptions{File: file, Upgrade: true} })
	if err := EditAccounts(file, false, func(a *Accounts) error { return a.SetPassword("a", cheap(t, "new")) }); err != nil {
		t.Fatal(err)
	}
	wantAccepted(t, authenticate(t, l, local(), userPassword("a", "old")), identity.Principal{Method: "password", Name: "a"})
	a, err := LoadAccounts(file)
	if err != nil || !a.Get("a").Password.Matches([]byte("new")) {
		t.Errorf("the change is lost: %v", err)
	}
}

// TestReloadForgets: after a reload the file decides again, whatever was remembered; a broken file changes nothing.
func TestReloadForgets(t *testing.T) {
	file := accountFile(t, "a:"+cheap(t, "one").Encode())
	o := options()
	o.Password = &PasswordOptions{File: file}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	me := identity.Principal{Method: "password", Name: "a"}
	wantAccepted(t, authenticate(t, l, local(), userPassword("a", "one")), me)
	for _, broken := range []string{"junk\n", "a:\n"} {
		if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Prepare(o); err == nil {
			t.Fatal("a broken file is taken")
		}
		wantAccepted(t, authenticate(t, l, local(), userPassword("a", "one")), me)
	}
	if err := os.WriteFile(file, []byte("a:"+cheap(t, "two").Encode()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	apply, err := l.Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	wantAccepted(t, authenticate(t, l, local(), userPassword("a", "one")), me)
	apply()
	wantRefused(t, authenticate(t, l, local(), userPassword("a", "one")), identity.NotAuthenticated)
	wantAccepted(t, authenticate(t, l, local(), userPassword("a", "two")), me)
}

// TestClearText: passwords do not cross a network unencrypted unless the listener says so; the real socket decides.
func TestClearText(t *testing.T) {
	remote := from("192.0.2.1:5")
	remote.TLS = nil
	open := *remote
	open.Listener = "open"
	l, hashes := passwordLogin(t, func(o *Options) { o.ClearPassword = map[string]bool{"open": true} },
		"a:"+cheap(t, "p").Encode(), "carl:passwordless")
	wantRefused(t, authenticate(t, l, remote, userPassword("a", "p")), identity.NotPermitted, "clear text")
	wantRefused(t, authenticate(t, l, remote, userPassword("a", "x")), identity.NotPermitted, "clear text")
	if n := hashes.take(); n != nil {
		t.Errorf("refused logins cost %v", n)
	}
	me := identity.Principal{Method: "password", Name: "a"}
	wantAccepted(t, authenticate(t, l, &open, userPassword("a", "p")), me)
	wantAccepted(t, authenticate(t, l, from("192.0.2.1:5"), userPassword("a", "p")), me)
	wantAccepted(t, authenticate(t, l, remote, &identity.Credentials{HasUsername: true, Username: "carl"}), identity.Principal{Method: "password", Name: "carl"})
}

// TestAnonymous: who brings nothing is let in on loopback, when that is allowed.
func TestAnonymous(t *testing.T) {
	nothing := &identity.Credentials{Level: 5}
	for _, c := range []struct {
		anonymous bool
		ev        *identity.Evidence
		in        bool
	}{{true, local(), true}, {false, local(), false}, {true, from("192.0.2.1:1"), false}} {
		l, _ := passwordLogin(t, func(o *Options) { o.Anonymous = c.anonymous }, "a:"+cheap(t, "p").Encode())
		v := authenticate(t, l, c.ev, nothing)
		if c.in {
			wantAccepted(t, v, identity.Anonymous)
		} else {
			wantRefused(t, v, identity.NotPermitted, "anonymous: ")
		}
		wantRefused(t, authenticate(t, l, c.ev, &identity.Credentials{Level: 5, Method: "X"}), identity.BadMethod)
		wantRefused(t, authenticate(t, l, c.ev, userPassword("a", "x")), identity.NotAuthenticated)
	}
}

// TestImprove: a strong verifier stays, a weak one is replaced once, everywhere it is used, and only while the file still
// has it.
func TestImprove(t *testing.T) {
	strong, err := NewVerifier(Argon2id, []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	weak := cheap(t, "p")
	var log warnings
	login := func(lines ...string) (*Login, *password, string) {
		file := accountFile(t, lines...)
		l := newLogin(t, func(o *Options) {
			o.Password, o.Log = &PasswordOptions{File: file, Upgrade: true}, slog.New(&log)
		})
		return l, l.current.Load().methods[0].(*password), file
	}
	verifierOf := func(file, name string) string {
		t.Helper()
		a, err := LoadAccounts(file)
		if err != nil {
			t.Fatal(err)
		}
		if acc := a.Get(name); acc != nil && acc.Password != nil {
			return acc.Password.Encode()
		}
		return ""
	}

	l, _, file := login("a:" + strong.Encode())
	wantAccepted(t, authenticate(t, l, local(), userPassword("a", "p")), identity.Principal{Method: "password", Name: "a"})
	if verifierOf(file, "a") != strong.Encode() {
		t.Error("a strong verifier was replaced")
	}

	l, p, file := login("a:" + weak.Encode())
	wantAccepted(t, authenticate(t, l, local(), userPassword("a", "p")), identity.Principal{Method: "password", Name: "a"})
	first := verifierOf(file, "a")
	if p.account("a").Password.Encode() != first || first == weak.Encode() {
		t.Errorf("in memory %v, in the file %s", p.account("a").Password, first)
	}
	var hashes hashCount
	p.hashed = hashes.add
	for _, name := range []string{"a", "nobody"} {
		authenticate(t, l, local(), userPassword(name, "wrong"))
		if got := hashes.take(); len(got) != 1 || got[0] != strong.Cost() {
			t.Errorf("%s is checked with %v, want %s", name, got, strong.Cost())
		}
	}
	p.improve("a", weak, []byte("p")) // a login that began before
	if verifierOf(file, "a") != first || log != 0 {
		t.Errorf("replaced twice, or %d warnings", log)
	}

	for _, changed := range []string{"a:passwordless", "b:" + weak.Encode(), "a:" + strong.Encode()} {
		l, p, file := login("a:" + weak.Encode())
		if err := EditAccounts(file, false, func(a *Accounts) error {
			next, err := ParseAccounts("f", []byte(changed))
			*a = *next
			return err
		}); err != nil {
			t.Fatal(err)
		}
		log = 0
		wantAccepted(t, authenticate(t, l, local(), userPassword("a", "p")), identity.Principal{Method: "password", Name: "a"})
		if a, err := LoadAccounts(file); err != nil || string(a.Bytes()) != changed+"\n" || log != 1 || p.account("a").Password.Encode() != weak.Encode() {
			t.Errorf("%s became %s (%v), %d warnings", changed, a.Bytes(), err, log)
		}
	}
}

// warnings counts them.
type warnings int

func (*warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (w *warnings) Handle(context.Context, slog.Record) error { *w++; return nil }

func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

func (w *warnings) WithGroup(string) slog.Handler { return w }
