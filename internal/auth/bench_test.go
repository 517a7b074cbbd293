package auth

import "testing"

// BenchmarkSignIn is what a good sign-in costs with the real parameters, everything written durably.
func BenchmarkSignIn(b *testing.B) {
	f := newFixtureWith(b, DefaultParams())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.SignIn(b.Context(), "bob", bobsPassword, office, "", ""); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSession is what every request of a signed-in person pays.
func BenchmarkSession(b *testing.B) {
	f := newFixtureWith(b, cheap)
	token, err := f.SignIn(b.Context(), "bob", bobsPassword, office, "", "")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := f.Session(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefused is what a locked attempt costs when a hundred come at once.
func BenchmarkRefused(b *testing.B) {
	f := newFixtureWith(b, cheap)
	for range perAccount {
		_ = f.try("bob", "certainly not this", office)
	}
	b.SetParallelism(50)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = f.try("bob", bobsPassword, office)
		}
	})
}
