package auth

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
)

func TestAccountLimit(t *testing.T) {
	for _, name := range []string{"bob", "nobody"} { // an unknown name locks like a known one
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			for i := range 10 {
				f.fail(1, name, v6(i))
				f.pass(time.Minute)
			}
			before := f.derived.Load()
			err := f.try(name, bobsPassword, office) // right for bob
			wantKind(t, err, errs.TooMany)
			if s := errs.Public(err); s != "Too many failed attempts for this name or from this address. Try again in 5 minutes." {
				t.Errorf("the sentence is %q", s)
			}
			if d := retryAfter(t, err); d != 5*time.Minute {
				t.Errorf("retry after %s", d)
			}
			if f.derived.Load() != before {
				t.Error("a locked attempt was computed")
			}
			f.restart()
			wantKind(t, f.try(name, bobsPassword, office), errs.TooMany)

			f.pass(5*time.Minute - time.Millisecond)
			wantKind(t, f.try(name, "certainly not this", office), errs.TooMany)
			f.pass(time.Millisecond) // the first failure leaves the window: one more try
			f.fail(1, name, office)
			wantKind(t, f.try(name, "certainly not this", office), errs.TooMany)
		})
	}
}

func TestRefusedAttemptsDoNotProlongTheLock(t *testing.T) {
	f := newFixture(t)
	f.fail(10, "bob", office)
	for range 14 {
		f.pass(time.Minute)
		wantKind(t, f.try("bob", bobsPassword, office), errs.TooMany)
	}
	f.pass(time.Minute)
	must(t, f.try("bob", bobsPassword, office))
}

func TestAddressLimit(t *testing.T) {
	for _, c := range []struct {
		what             string
		same             func(i int) string
		again, elsewhere string
	}{
		{"IPv4", func(int) string { return office }, "::ffff:" + office, "192.0.2.11"},
		{"IPv6 by /64", func(i int) string { return fmt.Sprintf("2001:db8:1:2:%x::%x", i*600, i+1) },
			"2001:db8:1:2:ffff:ffff:ffff:ffff%eth0", "2001:db8:1:3::1"},
		{"no address at all", func(i int) string { return fmt.Sprintf("spoofed-%d", i) }, "", office},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newFixture(t)
			for i := range 30 {
				f.fail(1, fmt.Sprintf("name%d", i), c.same(i))
			}
			wantKind(t, f.try("bob", bobsPassword, c.again), errs.TooMany)
			f.restart()
			wantKind(t, f.try("bob", bobsPassword, c.same(99)), errs.TooMany)
			must(t, f.try("bob", bobsPassword, c.elsewhere))
		})
	}
}

// TestSuccessForgivesOnlyItsOwn: the owner's success takes back the owner's typing errors, not what somebody else
// failed from elsewhere, and never what counts for the address.
func TestSuccessForgivesOnlyItsOwn(t *testing.T) {
	f := newFixture(t)
	f.fail(5, "ana", "198.51.100.1") // somebody else
	f.fail(4, "ana", office)
	must(t, f.try("ana", anasPassword, office))
	f.fail(4, "ana", office)
	must(t, f.try("ana", anasPassword, office))
	f.fail(5, "ana", "198.51.100.1")
	wantKind(t, f.try("ana", anasPassword, office), errs.TooMany)
}

func TestSuccessDoesNotResetTheAddress(t *testing.T) {
	f := newFixture(t)
	for i := range 20 { // eve owns bob's account and guesses at others
		f.fail(1, fmt.Sprintf("name%d", i), office)
		must(t, f.try("bob", bobsPassword, office))
	}
	f.fail(9, "bob", office) // also what eve fails at the own account
	must(t, f.try("bob", bobsPassword, office))
	f.fail(1, "bob", office)
	wantKind(t, f.try("bob", bobsPassword, office), errs.TooMany)
}

// TestAFloodOfOtherNamesResetsNothing: 20,000 names from 40 addresses, then the locked account again.
func TestAFloodOfOtherNamesResetsNothing(t *testing.T) {
	f := newFixture(t)
	f.fail(10, "ana", "198.51.100.1")
	const flood = 20_000
	var wg sync.WaitGroup
	for w := range 50 {
		wg.Go(func() {
			for i := w; i < flood; i += 50 {
				if err := f.try(fmt.Sprintf("name%d", i), "certainly not this", v6(i%40)); err == nil {
					t.Error("a made-up name signed in")
				}
			}
		})
	}
	wg.Wait()
	if n := f.count("sign_in_failures"); n > 10+40*perAddress {
		t.Errorf("%d rows of failures", n)
	}
	wantKind(t, f.try("ana", anasPassword, office), errs.TooMany)
	f.restart()
	wantKind(t, f.try("ana", anasPassword, office), errs.TooMany)

	// All of it fits a handful of audit entries, and none is lost.
	if n := len(f.entries(audit.SignInRefused)); n > pairsExact+3 {
		t.Errorf("%d audit entries within a minute", n)
	}
	f.pass(failWindow)
	must(t, f.Flush(t.Context()))
	if n := counted(f.entries(audit.SignInRefused)); n != flood+10+2 {
		t.Errorf("the entries tell of %d refusals, want %d", n, flood+12)
	}
	must(t, f.Sweep(t.Context()))
	if n := f.count("sign_in_failures"); n != 0 {
		t.Errorf("%d rows left after the window", n)
	}
	must(t, f.try("ana", anasPassword, office))
}

// TestEvictionSparesWhatLocks fills the table by far and sees that rows stay bounded while a known account's, a
// locked unknown name's and a locked address's failures stay.
func TestEvictionSparesWhatLocks(t *testing.T) {
	f := newFixture(t)
	f.maxFailures = 200
	for i := range 9 {
		f.fail(1, "ana", v6(i)) // not locked yet: must not be forgotten either
	}
	f.fail(10, "nobody", "198.51.100.1")
	for i := range 30 {
		f.fail(1, fmt.Sprintf("name%d", i), office)
	}
	for i := range 1000 {
		f.fail(1, fmt.Sprintf("flood%d", i), v6(1000+i))
		if n := f.count("sign_in_failures"); n > 200 {
			t.Fatalf("%d rows after %d names", n, i)
		}
	}
	wantKind(t, f.try("nobody", "certainly not this", "198.51.100.2"), errs.TooMany)
	wantKind(t, f.try("bob", bobsPassword, office), errs.TooMany)
	f.fail(1, "ana", "198.51.100.3")
	wantKind(t, f.try("ana", anasPassword, "198.51.100.4"), errs.TooMany)
}

// TestAFullTableStillCountsForAccounts: where everything locks something, only unknown names are not noted.
func TestAFullTableStillCountsForAccounts(t *testing.T) {
	f := newFixture(t)
	f.maxFailures = 20
	f.fail(10, "nobody", "198.51.100.1")
	f.fail(10, "no-one", "198.51.100.2")
	f.fail(3, "unheard-of", "198.51.100.3")
	f.fail(10, "ana", "198.51.100.4")
	wantKind(t, f.try("ana", anasPassword, office), errs.TooMany)
	if n := f.count("sign_in_failures"); n != 30 {
		t.Errorf("%d rows, want 20 that lock and 10 of ana", n)
	}
}

func TestAddrKey(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::/64",
		"2001:db8:0:0:9::1": "2001:db8::/64", "fe80::1%eth0": "fe80::/64", "": "(no address)",
		"192.0.2.1:443": "(no address)", "<script>": "(no address)", strings.Repeat("9", 500): "(no address)",
	} {
		if got := addrKey(addr); got != want {
			t.Errorf("addrKey(%q) = %q, want %q", addr, got, want)
		}
	}
}
