package authn

import (
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
