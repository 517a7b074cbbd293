package giteatest_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"deployportal/internal/gitea/giteatest"
	"deployportal/internal/gitea/giteatest/conformance"
)

// fake is the fake as a Backend.
type fake struct {
	s   *giteatest.Server
	url string

	tokens int
}

func newFake(t *testing.T) *fake {
	var mu sync.Mutex
	clock := time.Date(2026, 4, 23, 19, 0, 0, 0, time.UTC)
	s := giteatest.New(giteatest.Options{SubPath: "/git", Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		clock = clock.Add(300 * time.Millisecond) // several pushes in one second, as on a real one
		return clock
	}})
	web := httptest.NewServer(s.Handler())
	t.Cleanup(web.Close)
	return &fake{s: s, url: web.URL + "/git"}
}

func (f *fake) URL() string   { return f.url }
func (f *fake) Owner() string { return "acme" }

func (f *fake) Token(_ *testing.T, member bool, scopes ...string) string {
	f.tokens++
	token := fmt.Sprintf("token-%d", f.tokens)
	f.s.AddAccount(giteatest.Account{Name: "someone", Token: token, Scopes: scopes, NoTeam: !member})
	return token
}

func (f *fake) History(_ *testing.T, repository string, subjects ...string) []string {
	var all []string
	for i, subject := range subjects {
		sum := sha1.Sum([]byte(repository + subject))
		sha := hex.EncodeToString(sum[:])
		f.s.AddRepo("acme", repository, giteatest.Commit{SHA: sha, Message: subject, Author: "Ana", At: time.Unix(int64(1776970000+i), 0).UTC()})
		all = append(all, sha)
	}
	return all
}

func (f *fake) SetStatus(_ *testing.T, repository, sha string, st giteatest.Status) {
	f.s.SetStatus("acme/"+repository, sha, st)
}

func TestConformance(t *testing.T) { conformance.Run(t, newFake(t)) }
