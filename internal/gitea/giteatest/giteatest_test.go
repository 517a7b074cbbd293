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

func newFake(t conformance.T) *fake {
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

func (f *fake) Token(_ conformance.T, member bool, scopes ...string) string {
	f.tokens++
	token := fmt.Sprintf("token-%d", f.tokens)
	f.s.AddAccount(giteatest.Account{Name: "someone", Token: token, Scopes: scopes, NoTeam: !member})
	return token
}

func (f *fake) History(_ conformance.T, repository, from string, commits ...giteatest.Commit) []string {
	var all []string
	for i, c := range commits {
		sum := sha1.Sum([]byte(repository + from + c.Message))
		c.SHA, c.Parent, c.Author = hex.EncodeToString(sum[:]), from, "Ana"
		c.At = time.Unix(int64(1776970000+i), 0).UTC()
		f.s.AddRepo("acme", repository, c)
		all = append(all, c.SHA)
		if from != "" {
			from = c.SHA
		}
	}
	return all
}

func (f *fake) SetStatus(_ conformance.T, repository, sha string, st giteatest.Status) {
	f.s.SetStatus("acme/"+repository, sha, st)
}

func (f *fake) Hook(_ conformance.T, url, secret string) { f.s.AddHook("acme", url, secret) }

func (f *fake) Cleanup(_ conformance.T, image string, keep int) { f.s.Cleanup("acme/"+image, keep) }

func (f *fake) Person(_ conformance.T) (name, password string) {
	f.s.AddPerson(giteatest.Person{Name: "ana", Password: "a password", Groups: []string{"acme", "acme:deployers"}})
	return "ana", "a password"
}

func (f *fake) OAuth2(_ conformance.T, redirect string) (id, secret string) {
	f.s.AddOAuth2App(giteatest.OAuth2App{ID: "portal", Secret: "s3cret", Redirects: []string{redirect}})
	return "portal", "s3cret"
}

func TestConformance(t *testing.T) { conformance.Run(t, newFake(t)) }
