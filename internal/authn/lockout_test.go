package authn

import (
	"crypto/x509"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
)

// TestLockout: by address and name with back-off, by address, never by name, unknown names included.
func TestLockout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := passwordLogin(t, func(o *Options) {
			o.Lockout = LockoutOptions{Failures: 3, AddressFailures: 10, Within: time.Minute, For: 10 * time.Minute}
		}, "a:"+cheap(t, "p").Encode(), "b:"+cheap(t, "p").Encode())
		try := func(address, name, password string) identity.Verdict {
			return authenticate(t, l, from(address+":1"), userPassword(name, password))
		}
		in := func(address, name string) {
			t.Helper()
			wantAccepted(t, try(address, name, "p"), identity.Principal{Method: "password", Name: name})
		}
		locked := func(address, name string) {
			t.Helper()
			wantRefused(t, try(address, name, "p"), identity.Banned, "lockout: ")
		}
		fail := func(n int, address, name string) {
			t.Helper()
			for range n {
				wantRefused(t, try(address, name, "wrong"), identity.NotAuthenticated)
			}
		}
		const one, two = "192.0.2.1", "192.0.2.2"
		in(one, "b")
		fail(2, one, "a")
		time.Sleep(61 * time.Second) // the failures are over
		fail(3, one, "a")
		locked(one, "a")
		in(two, "a") // the name is not locked
		in(one, "b") // nor is the address
		time.Sleep(10*time.Minute + time.Second)
		fail(3, one, "a") // unlocked, and locked again for twice as long
		time.Sleep(11 * time.Minute)
		locked(one, "a")
		time.Sleep(10 * time.Minute)
		in(one, "a")

		fail(3, one, "nobody") // unknown names are locked alike
		locked(one, "nobody")
		for i := range 7 {
			fail(1, one, fmt.Sprint("guess", i))
		}
		wantRefused(t, try(one, "c", "p"), identity.Banned, one) // the address is locked
		in(one, "a")                                             // who logged in lately is let through
		in(one, "b")
		time.Sleep(2 * time.Hour)

		for i := range 10 { // one /64 is one address
			fail(1, fmt.Sprintf("[2001:db8::%d]", i), fmt.Sprint("guess", i))
		}
		wantRefused(t, try("[2001:db8::ffff]", "a", "p"), identity.Banned)
		in("[2001:db8:0:1::1]", "a")
	})
}

// TestLockoutIsBounded: the tables do not grow beyond their limit, and a lock outlives a flood of other failures.
func TestLockoutIsBounded(t *testing.T) {
	l := newLockout(LockoutOptions{Failures: 2, AddressFailures: 100, Within: time.Minute, For: time.Hour})
	victim := l.attempt(from("192.0.2.1:1"), "a")
	victim.failed()
	victim.failed()
	for i := range maxTracked + 5000 {
		l.attempt(from(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)), "x").failed()
	}
	if len(l.pairs) > maxTracked || len(l.addresses) > maxTracked {
		t.Errorf("%d pairs, %d addresses", len(l.pairs), len(l.addresses))
	}
	if victim.locked() == nil {
		t.Error("the lock was flushed out")
	}
}

// TestLockoutWindows: what is counted together, when a lock ends, and how the next one grows and shrinks again.
func TestLockoutWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within, first = time.Minute, 10 * time.Second
		l := newLockout(LockoutOptions{Failures: 3, AddressFailures: 100, Within: within, For: first})
		var at attempt
		fail := func(n int) {
			for range n {
				at.failed()
			}
		}
		locked := func(want bool, when string) {
			t.Helper()
			if got := at.locked() != nil; got != want {
				t.Errorf("%s: locked %v", when, got)
			}
		}
		begin := func(name string) { at = l.attempt(from("192.0.2.1:1"), name) }

		begin("exactly within")
		fail(2)
		time.Sleep(within)
		fail(1)
		locked(true, "the third at the end of the window")
		time.Sleep(first - 1)
		locked(true, "a moment before the end of the lock")
		time.Sleep(time.Nanosecond)
		locked(false, "at its end")

		begin("too late")
		fail(2)
		time.Sleep(within + 1)
		fail(1)
		locked(false, "the third after the window")

		begin("counts begin anew")
		fail(3)
		time.Sleep(first)
		fail(2)
		locked(false, "two failures after a lock, within the window of the first")
		time.Sleep(first)
		fail(1)
		locked(true, "the third of them")

		begin("the window is that of the failures after a lock")
		fail(3)
		time.Sleep(within - first)
		fail(2)
		time.Sleep(within - first)
		fail(1)
		locked(true, "three within a window, after a lock longer ago")

		begin("back-off")
		for _, factor := range []time.Duration{1, 2, 4, 8, 16, 16, 16} {
			fail(3)
			time.Sleep(factor*first - 1)
			locked(true, "before the end of lock "+factor.String())
			time.Sleep(time.Nanosecond)
			locked(false, "after lock "+factor.String())
		}
		time.Sleep(maxBackOff * first)
		fail(3)
		time.Sleep(maxBackOff*first - 1)
		locked(true, "quiet for as long as the lock")
		time.Sleep(maxBackOff*first + 2)
		fail(3)
		time.Sleep(first)
		locked(false, "quiet for longer")
	})
}

// TestLockoutTrustEnds: who logged in lately passes the lock of its address, and later on does not.
func TestLockoutTrustEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLockout(LockoutOptions{Failures: 3, AddressFailures: 1, Within: time.Minute, For: 10 * trustedFor})
		known := l.attempt(from("192.0.2.1:1"), "known")
		known.succeeded()
		l.attempt(from("192.0.2.1:1"), "guess").failed()
		time.Sleep(trustedFor - time.Nanosecond)
		if err := known.locked(); err != nil {
			t.Errorf("it logged in lately: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if known.locked() == nil {
			t.Error("it is trusted for ever")
		}
	})
}

// TestLockoutSparesLoopback: failures of loopback do not lock the address, nor is a client on loopback refused for those of
// the address; those with its own name count.
func TestLockoutSparesLoopback(t *testing.T) {
	l := newLockout(LockoutOptions{Failures: 3, AddressFailures: 5, Within: time.Minute, For: time.Minute})
	near := from("192.0.2.1:1")
	near.Loopback = true
	for i := range 20 {
		l.attempt(near, fmt.Sprint("guess", i)).failed()
		l.attempt(&identity.Evidence{}, fmt.Sprint("guess", i)).failed() // a Unix socket
	}
	if err := l.attempt(from("192.0.2.1:1"), "a").locked(); err != nil || len(l.addresses) != 0 {
		t.Errorf("failures on loopback count for the address: %v", err)
	}
	for i := range 5 {
		l.attempt(from("192.0.2.1:1"), fmt.Sprint("guess", i)).failed()
	}
	if l.attempt(from("192.0.2.1:1"), "a").locked() == nil {
		t.Error("the address is not locked")
	}
	if err := l.attempt(near, "a").locked(); err != nil {
		t.Errorf("the same address on loopback: %v", err)
	}
	for range 3 {
		l.attempt(near, "a").failed()
	}
	if l.attempt(near, "a").locked() == nil {
		t.Error("the pair is not locked on loopback")
	}
}

// TestLockoutCounts: what a login came to decides what is counted, also at the end of an exchange of several packets; a
// reload changes the limits of what was counted before.
func TestLockoutCounts(t *testing.T) {
	o := options()
	o.Lockout.Failures = 3
	o.SCRAM = &SCRAMOptions{File: scramFile(t), Mechanisms: Mechanisms, Binding: BindingPreferred}
	o.Certificate = &CertificateOptions{Identity: "{cn}"}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	wrong := func(want identity.Failure) {
		t.Helper()
		c, err := SCRAMSHA256.hash().NewClient("alice", "wrong", "")
		if err != nil {
			t.Fatal(err)
		}
		v, _ := runSCRAM(t, l, from("192.0.2.1:1"), "SCRAM-SHA-256", c.NewConversation(), "")
		wantRefused(t, v, want)
	}
	for range 5 { // logins that take several packets and succeed are no failures
		c, err := SCRAMSHA256.hash().NewClient("alice", "pencil", "")
		if err != nil {
			t.Fatal(err)
		}
		v, _ := runSCRAM(t, l, from("192.0.2.1:1"), "SCRAM-SHA-256", c.NewConversation(), "")
		wantAccepted(t, v, identity.Principal{Method: "scram", Name: "alice"})
	}
	for range 3 {
		wrong(identity.NotAuthenticated)
	}
	wrong(identity.Banned)
	o.Lockout.Failures = 5
	apply, err := l.Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	apply()
	if got := l.lockout.options.Failures; got != 5 {
		t.Errorf("after the reload %d failures lock", got)
	}

	bad, good := from("192.0.2.2:1"), from("192.0.2.2:1")
	bad.TLS.Chain = []*x509.Certificate{withNames("a", "b")}
	good.TLS.Chain = []*x509.Certificate{withNames("pump1")}
	for range 10 { // not permitted is no guess
		wantRefused(t, authenticate(t, l, bad, &identity.Credentials{}), identity.NotPermitted)
	}
	if v := authenticate(t, l, good, &identity.Credentials{}); v.Outcome != identity.Accepted {
		t.Error(v.Cause)
	}
}

// TestLockoutDropsTheLeast: a full table drops counts before trust, and trust before locks.
func TestLockoutDropsTheLeast(t *testing.T) {
	now := time.Now()
	rising := []*record{
		{},
		{failures: 1},
		{failures: 1, locks: 3, until: now}, // over
		{failures: 9, success: now.Add(-trustedFor)}, // over
		{failures: 100},
		{success: now.Add(-trustedFor + time.Nanosecond)}, // just not
		{success: now},
		{until: now.Add(time.Nanosecond)},
		{until: now.Add(time.Hour), success: now.Add(-time.Hour)},
		{until: now.Add(16 * time.Hour)},
	}
	for i := range len(rising) - 1 {
		if a, b := rising[i].worth(now), rising[i+1].worth(now); a >= b {
			t.Errorf("%d is worth %d, and %d is worth %d", i, a, i+1, b)
		}
	}
	table := map[int]*record{}
	locks := 0
	for i := range maxTracked {
		table[i] = &record{failures: 1}
		if i%2 == 0 {
			table[i].until = now.Add(time.Hour)
			locks++
		}
	}
	for i := range 1000 {
		entry(table, maxTracked+i, now)
	}
	left := 0
	for _, r := range table {
		if now.Before(r.until) {
			left++
		}
	}
	if len(table) != maxTracked || left < locks-100 { // of eight at random, all are locks once in 256 times
		t.Errorf("%d entries, %d locks of %d", len(table), left, locks)
	}
}
