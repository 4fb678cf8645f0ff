package authn

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/privfile"
)

// cheap makes verifiers that cost nothing, for tests about something else.
func cheap(t testing.TB, password string) *Verifier {
	t.Helper()
	v := &Verifier{format: Argon2id, memory: 8, passes: 1, lanes: 1, salt: []byte("salt of " + password)[:8]}
	v.hash = v.derive([]byte(password), argonHash)
	return v
}

// accountFile writes lines into a private file.
func accountFile(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwd")
	if err := privfile.Write(path, []byte(strings.Join(lines, "\n")+"\n")); err != nil {
		t.Fatal(err)
	}
	return path
}

var testSecret = []byte("0123456789abcdef0123456789abcdef")

// options are those of a Login with small limits.
func options() Options {
	return Options{
		Secret: testSecret, HashSlots: 2, HashQueue: 16, Log: slog.New(slog.DiscardHandler),
		Lockout: LockoutOptions{Failures: 1000, AddressFailures: 100_000, Within: 60e9, For: 600e9},
	}
}

func newLogin(t testing.TB, change func(*Options)) *Login {
	t.Helper()
	o := options()
	change(&o)
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func local() *identity.Evidence {
	return &identity.Evidence{Listener: "l", Transport: "tcp", Loopback: true, Remote: netip.MustParseAddrPort("127.0.0.1:1")}
}

func from(address string) *identity.Evidence {
	return &identity.Evidence{Listener: "l", Transport: "tls", Remote: netip.MustParseAddrPort(address), TLS: &identity.TLS{}}
}

func userPassword(name, password string) *identity.Credentials {
	return &identity.Credentials{Level: 5, HasUsername: true, Username: name, HasPassword: true, Password: []byte(password)}
}

// wantAccepted and wantRefused check a Verdict.
func wantAccepted(t testing.TB, v identity.Verdict, p identity.Principal) {
	t.Helper()
	if v.Outcome != identity.Accepted || v.Principal != p {
		t.Errorf("got %v %v (%v), want %v accepted", v.Outcome, v.Principal, v.Cause, p)
	}
}

func wantRefused(t testing.TB, v identity.Verdict, f identity.Failure, words ...string) {
	t.Helper()
	if v.Outcome != identity.Rejected || v.Failure != f || v.Principal != (identity.Principal{}) || v.Data != nil || v.Cause == nil {
		t.Errorf("got %v %v %v (%v), want a refusal of class %v", v.Outcome, v.Principal, v.Failure, v.Cause, f)
		return
	}
	for _, w := range words {
		if !strings.Contains(v.Cause.Error(), w) {
			t.Errorf("cause %q does not contain %q", v.Cause, w)
		}
	}
}

// TestMosquittoFile: a file that mosquitto_passwd 2.0 made is read, and its passwords are right.
func TestMosquittoFile(t *testing.T) {
	b, err := os.ReadFile("testdata/mosquitto.passwd")
	if err != nil {
		t.Fatal(err)
	}
	a, err := ParseAccounts("mosquitto.passwd", b)
	if err != nil {
		t.Fatal(err)
	}
	for name, password := range map[string]string{"dave": "dpass", "eve": "epass"} {
		v := a.Get(name).Password
		if !v.Matches([]byte(password)) || v.Matches([]byte(password+"x")) || v.Matches(nil) {
			t.Errorf("%s: password does not match", name)
		}
		if v.Weak() == "" {
			t.Errorf("%s: %v is not weak", name, v)
		}
	}
	if !bytes.Equal(a.Bytes(), b) {
		t.Error("the file changed by being read")
	}
}

// TestVerifierVectors: values computed by other implementations.
func TestVerifierVectors(t *testing.T) {
	for _, c := range []struct{ text, password, cost string }{
		// The command argon2 of the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32
		{"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password", "argon2id m=65536 t=2 p=1"},
	} {
		v, err := ParseVerifier(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if !v.Matches([]byte(c.password)) || v.Cost() != c.cost || v.Encode() != c.text {
			t.Errorf("%s: %v", c.text, v)
		}
	}
}

func TestNewVerifier(t *testing.T) {
	for _, f := range []Format{Argon2id, Mosquitto7} {
		v, err := NewVerifier(f, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseVerifier(v.Encode())
		if err != nil || back.Encode() != v.Encode() || !back.Matches([]byte("secret")) || back.Matches([]byte("Secret")) || v.Weak() != "" {
			t.Errorf("%v: %v", v, err)
		}
		if strings.Contains(v.String(), "$") {
			t.Errorf("%v prints its hash", v)
		}
	}
	for _, c := range []struct {
		f Format
		p string
	}{{Argon2id, ""}, {Argon2id, strings.Repeat("x", MaxPassword+1)}, {Mosquitto6, "x"}, {"", "x"}} {
		if _, err := NewVerifier(c.f, []byte(c.p)); err == nil {
			t.Errorf("%q with %d bytes is taken", c.f, len(c.p))
		}
	}
}

func TestBadVerifiers(t *testing.T) {
	const salt, hash = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for _, s := range []string{
		"", "x", "plain", "$", "$$$", "$5$a$b", "$2b$12$abcdefghijklmnopqrstuv",
		"$argon2i$v=19$m=65536,t=2,p=1$" + salt + "$" + hash,
		"$argon2id$v=16$m=65536,t=2,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=131073,t=2,p=1$" + salt + "$" + hash, // memory above the cap
		"$argon2id$v=19$m=4294967296,t=2,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=65536,t=17,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=65536,t=0,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=65536,t=2,p=5$" + salt + "$" + hash,
		"$argon2id$v=19$m=7,t=2,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=065536,t=2,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=+65536,t=2,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=65536,t=2$" + salt + "$" + hash,
		"$argon2id$v=19$m=65536,t=2,p=1$c2hvcnQ$" + hash,      // salt of 5 bytes
		"$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$c2hvcnQ", // hash of 5 bytes
		"$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$" + hash + "$",
		"$7$2000001$c29tZXNhbHQ=$" + strings.Repeat("A", 86) + "==",
		"$7$0$c29tZXNhbHQ=$" + strings.Repeat("A", 86) + "==",
		"$7$-1$c29tZXNhbHQ=$" + strings.Repeat("A", 86) + "==",
		"$7$101$c29tZXNhbHQ=$AAAAAAAAAAAAAAAAAAAAAAAA",
		"$6$c29tZXNhbHQ=$AAAAAAAAAAAAAAAAAAAAAAAA",
		"$6$c29tZXNhbHQ$" + strings.Repeat("A", 86) + "==", // padding missing
	} {
		if v, err := ParseVerifier(s); err == nil {
			t.Errorf("%s is read as %v", s, v)
		}
	}
}

// TestAttack34_AccountFileFailsClosed: what is not understood makes the whole file an error, with its line [CVE-2018-12551].
func TestAttack34_AccountFileFailsClosed(t *testing.T) {
	good := "alice:" + decoyText
	for _, c := range []struct{ text, want string }{
		{"alice", "f:1: no colon"},
		{"alice:", "f:1: no verifier"},
		{"alice:password", "f:1: not a verifier"},
		{":" + decoyText, "f:1: the user name is empty"},
		{good + "\n\n# c\n" + good, "f:4: a second line"},
		{good + "\nalice:passwordless", "f:2: a second line"},
		{" alice:" + decoyText, "f:1: the user name has"},
		{"a\x00b:" + decoyText, "f:1: the user name has"},
		{"a\xffb:" + decoyText, "f:1: the user name has"},
		{strings.Repeat("n", MaxName+1) + ":passwordless", "f:1: the user name is longer"},
		{strings.Repeat("n", maxAccountLine+1), "f:1: longer than"},
		{"b:SCRAM-SHA-1$4096:AAAA$AAAA:AAAA", "f:1: the mechanism"},
		{strings.Repeat("x\n", 100), "further lines"},
	} {
		a, err := ParseAccounts("f", []byte(c.text))
		if err == nil || a != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
	for _, empty := range []string{"", "\n", "# only\n\n"} {
		a, err := ParseAccounts("f", []byte(empty))
		if err != nil || len(a.All()) != 0 {
			t.Errorf("%q: %v", empty, err)
		}
	}
	if _, err := LoadAccounts(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	exposed := accountFile(t, good)
	if err := os.Chmod(exposed, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadAccounts(exposed); !errors.Is(err, privfile.ErrExposed) {
		t.Errorf("file that others can read: %v", err)
	}
}

func TestEditAccounts(t *testing.T) {
	path := accountFile(t, "# kept", "alice:"+decoyText, "", "bob:passwordless")
	err := EditAccounts(path, false, func(a *Accounts) error {
		return errors.Join(a.SetPassword("alice", cheap(t, "new")), a.SetPassword("carl", cheap(t, "carl")))
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "# kept\nalice:" + cheap(t, "new").Encode() + "\n\nbob:passwordless\ncarl:" + cheap(t, "carl").Encode() + "\n"
	if string(b) != want {
		t.Errorf("got %s", b)
	}
	stop := errors.New("stop")
	err = EditAccounts(path, false, func(a *Accounts) error { a.Remove("alice"); return stop })
	if again, _ := os.ReadFile(path); !errors.Is(err, stop) || !bytes.Equal(again, b) {
		t.Errorf("a change that failed was written: %v", err)
	}
}

// TestEditAccountsAtOnce: writers do not lose each other's accounts.
func TestEditAccountsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			err := EditAccounts(path, true, func(a *Accounts) error { return a.SetPasswordless("user" + string(rune('0'+i))) })
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	a, err := LoadAccounts(path)
	if err != nil || len(a.All()) != 8 {
		t.Errorf("%d accounts: %v", len(a.All()), err)
	}
}

// FuzzParseAccounts: what is read can be written, read again and is the same; changes keep that.
func FuzzParseAccounts(f *testing.F) {
	b, err := os.ReadFile("testdata/mosquitto.passwd")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("# c\n\nx:passwordless\r\ny:" + decoyText))
	f.Add([]byte("b:SCRAM-SHA-256$4096:hE+pnsdrv3oA6g5/7s8TsA==$RQkp7FC3fbCgLjAyzYdlGDXaRpXANufUJk19DF69v0g=:wEXAeXSNS4MRZXNloUyDNoFBqRbPHiIK8YFaqe6ksas=\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ParseAccounts("f", data)
		if err != nil {
			return
		}
		again, err := ParseAccounts("f", a.Bytes())
		if err != nil || !bytes.Equal(again.Bytes(), a.Bytes()) || len(again.All()) != len(a.All()) {
			t.Fatalf("%q becomes %q: %v", data, a.Bytes(), err)
		}
		for _, acc := range a.All() {
			if acc.Passwordless && acc.Password != nil || !acc.Passwordless && acc.Password == nil && len(acc.SCRAM) == 0 {
				t.Fatalf("account %+v", acc)
			}
			if v := acc.Password; v != nil && (v.Memory() > maxArgonMemory<<10 || v.rounds > maxRounds || v.passes > maxArgonPasses) {
				t.Fatalf("verifier above the caps: %v", v)
			}
		}
		if a.SetPasswordless("added") != nil && a.Get("added") == nil {
			t.Fatal("an account cannot be added")
		}
		a.Remove("added")
		if a.Get("added") != nil {
			t.Fatal("an account cannot be removed")
		}
	})
}

// authenticate asks a Login without a deadline.
func authenticate(t testing.TB, l *Login, ev *identity.Evidence, cr *identity.Credentials) identity.Verdict {
	t.Helper()
	return l.Authenticate(context.WithoutCancel(t.Context()), ev, cr)
}
