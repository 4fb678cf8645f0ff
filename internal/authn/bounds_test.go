package authn

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealmq/sealmq/internal/identity"
)

// TestCheckName: which names an account file can hold.
func TestCheckName(t *testing.T) {
	for name, want := range map[string]string{
		"a": "", "a b": "", "a#": "", "é": "", strings.Repeat("n", MaxName): "",
		"": "empty", strings.Repeat("n", MaxName+1): "longer", "a\xff": "cannot be shown", "a\n": "cannot be shown", "a\u200b": "cannot be shown",
		" a": "blank", "a ": "blank", "#a": "begins with #", "a:b": "colon",
	} {
		if err := CheckName(name); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
	for name, want := range map[string]string{
		"a": "", "a:b": "", strings.Repeat("n", MaxName): "",
		"": "empty", strings.Repeat("n", MaxName+1): "longer", "a\xff": "cannot be shown", "a\x7f": "cannot be shown", "a/+": "wildcard", "#": "wildcard", "*": "wildcard",
	} {
		if err := plainName(name, "#+*"); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("plain %q: %v, want %q", name, err, want)
		}
	}
}

// TestAccountChanges: a change concerns one name and one kind of verifier, leaves everything else as it was written, and
// is refused where the result could not be read again.
func TestAccountChanges(t *testing.T) {
	scram := map[Mechanism]*SCRAMVerifier{}
	for _, m := range Mechanisms {
		v, _, err := NewSCRAMVerifier(m, "alice", []byte("p"), MinSCRAMIterations)
		if err != nil {
			t.Fatal(err)
		}
		scram[m] = v
	}
	other, _, err := NewSCRAMVerifier(SCRAMSHA256, "alice", []byte("q"), MinSCRAMIterations)
	if err != nil {
		t.Fatal(err)
	}
	a1, a256, a512, bob := "alice:"+cheap(t, "one").Encode(), "alice:"+scram[SCRAMSHA256].Encode(), "alice:"+scram[SCRAMSHA512].Encode(), "bob:passwordless"
	for _, c := range []struct {
		name   string
		change func(*Accounts) error
		want   []string // nil: refused
	}{
		{"nothing", func(*Accounts) error { return nil }, []string{"# c", a1, a256, a512, "", bob}},
		{
			"password", func(a *Accounts) error { return a.SetPassword("alice", cheap(t, "two")) },
			[]string{"# c", "alice:" + cheap(t, "two").Encode(), a256, a512, "", bob},
		},
		{
			"one mechanism", func(a *Accounts) error { return a.SetSCRAM("alice", other) },
			[]string{"# c", a1, "alice:" + other.Encode(), a512, "", bob},
		},
		{
			"mechanism of another name", func(a *Accounts) error { return a.SetSCRAM("bob", other) },
			[]string{"# c", a1, a256, a512, "", bob, "bob:" + other.Encode()},
		},
		{
			"no more password", func(a *Accounts) error { return a.SetPasswordless("alice") },
			[]string{"# c", "alice:passwordless", a256, a512, "", bob},
		},
		{"password with a bad name", func(a *Accounts) error { return a.SetPassword("a:b", cheap(t, "two")) }, nil},
		{"passwordless with a bad name", func(a *Accounts) error { return a.SetPasswordless("#") }, nil},
		{"SCRAM with a bad name", func(a *Accounts) error { return a.SetSCRAM("", other) }, nil},
		{"a verifier that cannot be read", func(a *Accounts) error { return a.SetPassword("carl", new(Verifier)) }, nil},
		{"a line that would be too long", func(a *Accounts) error {
			long := *other
			long.salt = make([]byte, maxAccountLine)
			return a.SetSCRAM("carl", &long)
		}, nil},
		{"removed", func(a *Accounts) error {
			if !a.Remove("alice") || a.Get("alice") != nil || a.Remove("alice") || a.Remove("") || a.Remove("nobody") {
				return errors.New("removing says the wrong thing")
			}
			return nil
		}, []string{"# c", "", bob}},
	} {
		file := accountFile(t, "# c", a1, a256, a512, "", bob)
		before, _ := os.ReadFile(file)
		err := EditAccounts(file, false, c.change)
		after, readErr := os.ReadFile(file)
		if readErr != nil {
			t.Fatal(readErr)
		}
		if c.want == nil {
			if err == nil || string(after) != string(before) {
				t.Errorf("%s: %v, became %s", c.name, err, after)
			}
		} else if err != nil || string(after) != strings.Join(c.want, "\n")+"\n" {
			t.Errorf("%s: %v, became %s", c.name, err, after)
		}
	}
	a, err := ParseAccounts("f", []byte(strings.Join([]string{a1, a256, bob}, "\n")))
	if err != nil || len(a.All()) != 2 || a.All()[0].Name != "alice" || a.All()[1].Name != "bob" {
		t.Errorf("%v, %v", a, err)
	}
	if err := a.SetPassword("alice", cheap(t, "two")); err != nil || !a.Get("alice").Password.Matches([]byte("two")) {
		t.Errorf("a change does not show: %v", err)
	}
	for _, twice := range []string{a256 + "\n" + a256, bob + "\nbob:" + decoyText, a1 + "\nalice:passwordless"} {
		if _, err := ParseAccounts("f", []byte(twice)); err == nil || !strings.Contains(err.Error(), "f:2: a second") {
			t.Errorf("%s: %v", twice, err)
		}
	}
	comment := "#" + strings.Repeat("c", maxAccountLine-1)
	if _, err := ParseAccounts("f", []byte(comment)); err != nil {
		t.Errorf("a line of the greatest length: %v", err)
	}
	if _, err := ParseAccounts("f", []byte(comment+"c")); err == nil {
		t.Error("a longer line is taken")
	}
}

// TestEditAccountsRefuses: what cannot be written whole is not written.
func TestEditAccountsRefuses(t *testing.T) {
	nothing := func(*Accounts) error { return nil }
	missing := filepath.Join(t.TempDir(), "missing")
	if err := EditAccounts(missing, false, nothing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it was made")
	}
	broken := accountFile(t, "junk")
	if err := EditAccounts(broken, true, nothing); err == nil || !strings.Contains(err.Error(), "no colon") {
		t.Errorf("a broken file: %v", err)
	}
	file := accountFile(t, "a:passwordless")
	grow := func(size int) func(*Accounts) error {
		return func(a *Accounts) error {
			a.lines = []accountLine{{text: strings.Repeat("#", size)}}
			return nil
		}
	}
	if err := EditAccounts(file, false, grow(MaxAccountFile)); err == nil || !strings.Contains(err.Error(), "longer") {
		t.Errorf("a file above the bound: %v", err)
	}
	if b, _ := os.ReadFile(file); string(b) != "a:passwordless\n" {
		t.Error("it was written")
	}
	if err := EditAccounts(file, false, grow(MaxAccountFile-1)); err != nil { // and a line feed
		t.Errorf("a file of the greatest length: %v", err)
	}
	file = accountFile(t, "a:passwordless")
	err := EditAccounts(file, false, func(*Accounts) error { return os.RemoveAll(filepath.Dir(file)) })
	if err == nil || !strings.Contains(err.Error(), "write the account file") {
		t.Errorf("a folder that is gone: %v", err)
	}
}

// TestPasswordLength: the longest password logs in.
func TestPasswordLength(t *testing.T) {
	long := strings.Repeat("x", MaxPassword)
	v, err := NewVerifier(Argon2id, []byte(long))
	if err != nil {
		t.Fatal(err)
	}
	l, _ := passwordLogin(t, nil, "a:"+v.Encode())
	wantAccepted(t, authenticate(t, l, local(), userPassword("a", long)), identity.Principal{Method: "password", Name: "a"})
	l, _ = passwordLogin(t, nil, "sc:SCRAM-SHA-256$4096:hE+pnsdrv3oA6g5/7s8TsA==$RQkp7FC3fbCgLjAyzYdlGDXaRpXANufUJk19DF69v0g=:wEXAeXSNS4MRZXNloUyDNoFBqRbPHiIK8YFaqe6ksas=")
	wantRefused(t, authenticate(t, l, local(), userPassword("sc", "x")), identity.NotAuthenticated, "which has none")
}

// TestVerifierBounds: each bound of a verifier, from both sides.
func TestVerifierBounds(t *testing.T) {
	raw := func(n int) string { return base64.RawStdEncoding.EncodeToString(make([]byte, n)) }
	std := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	argon := func(m, passes, lanes, salt, hash int) string {
		return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", m, passes, lanes, raw(salt), raw(hash))
	}
	for _, c := range []struct {
		text string
		in   bool
	}{
		{argon(8, 1, 1, minSalt, minHash), true},
		{argon(maxArgonMemory, maxArgonPasses, maxArgonLanes, maxSalt, maxHash), true},
		{argon(maxArgonMemory+1, 1, 1, 8, 32), false},
		{argon(8, maxArgonPasses+1, 1, 8, 32), false},
		{argon(64, 1, maxArgonLanes+1, 8, 32), false},
		{argon(16, 1, 2, 8, 32), true},
		{argon(15, 1, 2, 8, 32), false},
		{argon(8, 1, 1, minSalt-1, 32), false},
		{argon(8, 1, 1, maxSalt+1, 32), false},
		{argon(8, 1, 1, 8, minHash-1), false},
		{argon(8, 1, 1, 8, maxHash+1), false},
		{"x" + argon(8, 1, 1, 8, 32), false},
		{strings.Replace(argon(8, 1, 1, 8, 32), "m=", "x=", 1), false},
		{strings.Replace(argon(8, 1, 1, 8, 32), "t=1,p=1", "p=1,t=1", 1), false},
		{argon(8, 1, 1, 8, 32) + "\n", false},
		{"$argon2id$v=19$m=8,t=1,p=1$" + raw(8) + "!$" + raw(32), false},
		{"$argon2id$v=19$m=8,t=1,p=1$" + raw(8) + "$" + raw(32) + "!", false},
		{"$argon2id$v=19$m=8,t=1,p=1$" + raw(9)[:6] + "\n" + raw(9)[6:] + "$" + raw(32), false}, // base64 skips line ends
		{"$argon2id$v=19$m=8,t=1,p=1$x$" + raw(8) + "$" + raw(32), false},
		{"$argon2id$m=8,t=1,p=1$" + raw(8) + "$" + raw(32), false},
		{fmt.Sprintf("$7$%d$%s$%s", maxRounds, std(12), std(64)), true},
		{fmt.Sprintf("$7$%d$%s$%s", maxRounds+1, std(12), std(64)), false},
		{"$7$99999999999999999999$" + std(12) + "$" + std(64), false},
		{"$7$101$" + std(12) + "$" + std(32), false},
		{"$7$101$x$" + std(12) + "$" + std(64), false},
		{"$7$" + std(12) + "$" + std(64), false},
		{"$5$101$" + std(12) + "$" + std(64), false},
		{"$6$" + std(12) + "$" + std(64), true},
		{"$6$101$" + std(12) + "$" + std(64), false},
		{"$1$" + std(12) + "$" + std(64), false},
		{"$6$" + std(12) + "$" + std(64)[:80], false},
		{"$6$!$" + std(64), false},
		{"$6$AAAAAAAAAAAAAAB=$" + std(64), false}, // bits that belong to no byte
		{"$6$" + std(12) + "$" + std(64)[:85] + "B==", false},
		{"$6$" + std(12) + "$" + std(64)[:40] + "\n" + std(64)[40:], false},
	} {
		v, err := ParseVerifier(c.text)
		if (err == nil) != c.in {
			t.Errorf("%q: %v %v", c.text, v, err)
		}
		if err == nil && v.Encode() != c.text {
			t.Errorf("%q is written as %q", c.text, v.Encode())
		}
	}
	for _, c := range []struct {
		v    Verifier
		weak bool
		text string
	}{
		{Verifier{format: Argon2id, memory: argonMemory, passes: argonPasses, lanes: 1}, false, "argon2id m=19456 t=2 p=1"},
		{Verifier{format: Argon2id, memory: argonMemory - 1, passes: argonPasses, lanes: 1}, true, "argon2id m=19455 t=2 p=1"},
		{Verifier{format: Mosquitto7, rounds: pbkdf2Rounds}, false, "mosquitto7 rounds=210000"},
		{Verifier{format: Mosquitto7, rounds: pbkdf2Rounds - 1}, true, "mosquitto7 rounds=209999"},
		{Verifier{format: Mosquitto6}, true, "mosquitto6"},
	} {
		if (c.v.Weak() != "") != c.weak || c.v.String() != c.text {
			t.Errorf("%v is weak: %q", c.v, c.v.Weak())
		}
	}
}

// TestSCRAMVerifierBounds: each bound of a SCRAM verifier, from both sides.
func TestSCRAMVerifierBounds(t *testing.T) {
	std := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	form := func(m Mechanism, iterations, salt, stored, server int) string {
		return fmt.Sprintf("%s$%d:%s$%s:%s", m, iterations, std(salt), std(stored), std(server))
	}
	good := form(SCRAMSHA256, MinSCRAMIterations, 16, 32, 32)
	for _, c := range []struct {
		text string
		in   bool
	}{
		{good, true},
		{form(SCRAMSHA512, MaxSCRAMIterations, maxSalt, 64, 64), true},
		{form(SCRAMSHA256, MinSCRAMIterations, minSalt, 32, 32), true},
		{form(SCRAMSHA256, MinSCRAMIterations-1, 16, 32, 32), false},
		{form(SCRAMSHA256, MaxSCRAMIterations+1, 16, 32, 32), false},
		{form(SCRAMSHA256, MinSCRAMIterations, minSalt-1, 32, 32), false},
		{form(SCRAMSHA256, MinSCRAMIterations, maxSalt+1, 32, 32), false},
		{form(SCRAMSHA256, MinSCRAMIterations, 16, 31, 32), false},
		{form(SCRAMSHA256, MinSCRAMIterations, 16, 32, 33), false},
		{form(SCRAMSHA512, MinSCRAMIterations, 16, 32, 32), false},
		{form("SCRAM-SHA-1", MinSCRAMIterations, 16, 20, 20), false},
		{good + "$", false},
		{"SCRAM-SHA-256$4096:" + std(16), false},
		{strings.Replace(good, "4096:", "4096", 1), false},
		{strings.Replace(good, "=:", "=", 1), false},
		{strings.Replace(good, "4096", "04096", 1), false},
		{good + "\n", false},
		{good[:len(good)-2] + "B=", false}, // bits that belong to no byte
		{strings.Replace(good, "A==$", "B==$", 1), false},
		{good[:len(good)-9] + "\n" + good[len(good)-9:], false},
		{strings.Replace(good, ":AAAA", ":!AAA", 1), false},
		{strings.Replace(good, "=$A", "=$!", 1), false},
	} {
		v, err := ParseSCRAMVerifier(c.text)
		if (err == nil) != c.in {
			t.Errorf("%q: %v %v", c.text, v, err)
		}
		if err == nil && v.Encode() != c.text {
			t.Errorf("%q is written as %q", c.text, v.Encode())
		}
	}
	for _, s := range []string{"SCRAM-SHA-256$4096$" + std(32) + ":" + std(32), "SCRAM-SHA-256$4096:" + std(16) + "$" + std(32)} {
		if _, err := ParseSCRAMVerifier(s); !errors.Is(err, errSCRAMForm) {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, c := range []struct {
		m              Mechanism
		user, password string
		iterations     int
		want           string
	}{
		{SCRAMSHA256, "a", "p", MinSCRAMIterations, ""},
		{SCRAMSHA256, "a", "", MinSCRAMIterations, "empty"},
		{"SCRAM-SHA-1", "a", "p", MinSCRAMIterations, "iterations"},
		{SCRAMSHA256, "a", "p", MinSCRAMIterations - 1, "iterations"},
		{SCRAMSHA256, "a", "p", MaxSCRAMIterations + 1, "iterations"},
		{SCRAMSHA256, "a\x00", "p", MinSCRAMIterations, "cannot be used with SCRAM"},
	} {
		v, name, err := NewSCRAMVerifier(c.m, c.user, []byte(c.password), c.iterations)
		if c.want == "" && (err != nil || name != c.user) || c.want != "" && (err == nil || v != nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, %q, %v", c, v, name, err)
		}
	}
}
