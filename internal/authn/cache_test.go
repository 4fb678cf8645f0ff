package authn

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealmq/sealmq/internal/identity"
)

// TestVerifiedCache: an entry is for one name, verifier and password, ends after its time, and there are never more than
// the bound; what has ended goes first.
func TestVerifiedCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newVerifiedCache()
		v := cheap(t, "p")
		seen := map[[sha256.Size]byte]bool{}
		for _, k := range [][sha256.Size]byte{
			c.key("a", v, []byte("p")), c.key("b", v, []byte("p")), c.key("a", cheap(t, "q"), []byte("p")), c.key("a", v, []byte("q")),
			c.key("", v, []byte("ap")), newVerifiedCache().key("a", v, []byte("p")),
		} {
			seen[k] = true
		}
		if len(seen) != 6 {
			t.Errorf("%d keys of 6 are different", len(seen))
		}
		// The parts are not only joined: the end of the name is not the beginning of what follows.
		for _, between := range []string{"", strings.Repeat("\x00", 8)} {
			both := v.Encode()
			if c.key("n"+between+both, v, []byte("s")) == c.key("n", v, []byte(both+between+"s")) {
				t.Error("two divisions of the same bytes have one key")
			}
		}
		k := c.key("a", v, []byte("p"))
		if c.has(k) || len(c.until) != 0 {
			t.Error("an unknown key is remembered")
		}
		c.add(k)
		time.Sleep(verifiedFor - 1)
		if !c.has(k) {
			t.Error("forgotten too early")
		}
		time.Sleep(time.Nanosecond)
		if c.has(k) || len(c.until) != 0 {
			t.Error("remembered for too long")
		}
		number := func(i int) (k [sha256.Size]byte) {
			binary.BigEndian.PutUint64(k[:], uint64(i))
			return k
		}
		for i := range verifiedMost - 5 {
			c.add(number(i))
		}
		time.Sleep(time.Minute)
		for i := range 5 {
			c.add(number(verifiedMost + i))
		}
		if len(c.until) != verifiedMost {
			t.Fatalf("%d are remembered, want all %d", len(c.until), verifiedMost)
		}
		c.add(number(2 * verifiedMost)) // full, and none has ended: an eighth goes
		if len(c.until) != verifiedMost-verifiedMost/8+1 {
			t.Errorf("%d are left", len(c.until))
		}
		young := 0
		for i := range 5 {
			if c.has(number(verifiedMost + i)) {
				young++
			}
		}
		for i := 3 * verifiedMost; len(c.until) < verifiedMost; i++ {
			c.add(number(i))
		}
		before := len(c.until)
		time.Sleep(time.Minute) // the first ones have ended
		c.add(number(5 * verifiedMost))
		if after := len(c.until); after >= before-verifiedMost/8 || after < before/8 {
			t.Errorf("%d of %d are left", after, before)
		}
		for i := range 5 {
			if c.has(number(verifiedMost + i)) {
				young--
			}
		}
		if young != 0 {
			t.Error("one that had not ended was dropped although others had")
		}
	})
}

// TestRememberedNeedNoSlot: while all slots are taken, a remembered password logs in, another one is told to come again
// when its time is over or the queue is full; and many clients with the same credentials cost one hash.
func TestRememberedNeedNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, hashes := passwordLogin(t, func(o *Options) { o.HashSlots, o.HashQueue = 1, 3 }, "a:"+cheap(t, "p").Encode(), "b:"+cheap(t, "p").Encode())
		me := identity.Principal{Method: "password", Name: "a"}
		wantAccepted(t, authenticate(t, l, local(), userPassword("a", "p")), me)
		hashes.take()
		if err := l.queue.acquire(t.Context(), netip.Prefix{}); err != nil {
			t.Fatal(err)
		}
		verdicts := make(chan identity.Verdict, 8)
		ask := func(name string) {
			go func() { verdicts <- authenticate(t, l, local(), userPassword(name, "p")) }()
			synctest.Wait()
		}
		ask("a")
		if len(verdicts) != 1 {
			t.Fatal("a remembered password waits")
		}
		wantAccepted(t, <-verdicts, me)
		for range 3 {
			ask("b")
		}
		ask("b")
		if len(verdicts) != 1 {
			t.Fatalf("%d answers with a full queue", len(verdicts))
		}
		wantRefused(t, <-verdicts, identity.Busy, "queue of password checks")
		l.queue.release()
		synctest.Wait()
		for range 3 {
			wantAccepted(t, <-verdicts, identity.Principal{Method: "password", Name: "b"})
		}
		if got := hashes.take(); len(got) != 1 {
			t.Errorf("three logins with the same password cost %d hashes", len(got))
		}

		if err := l.queue.acquire(t.Context(), netip.Prefix{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantRefused(t, l.Authenticate(ctx, local(), userPassword("a", "x")), identity.Busy, "deadline")
		if got := hashes.take(); got != nil || l.queue.waiting != 0 {
			t.Errorf("who gave up cost %v, %d wait", got, l.queue.waiting)
		}
	})
}

// TestHashesLeaveGarbage: what a password check leaves behind is counted.
func TestHashesLeaveGarbage(t *testing.T) {
	l, _ := passwordLogin(t, nil, "a:"+cheap(t, "p").Encode())
	l.queue.garbage.cycles, _ = collector()
	for range 3 { // a collection in between begins anew
		authenticate(t, l, local(), userPassword("a", "wrong"))
		if l.queue.garbage.bytes > 0 {
			return
		}
	}
	t.Error("nothing is counted")
}
