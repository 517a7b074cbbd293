package slack

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/errs"
)

// replies is a Slack that keeps what it is told.
type replies struct {
	mu   sync.Mutex
	said []response
}

type response struct {
	url     string
	replace bool
	body    string
}

func (k *replies) post(context.Context, string, string, Message) (string, error) {
	return "", errors.New("not here")
}
func (k *replies) update(context.Context, string, string, Message) error {
	return errors.New("not here")
}

func (k *replies) respond(_ context.Context, url string, replace bool, m Message) error {
	body, err := json.Marshal(map[string]any{"text": m.Text, "blocks": m.Blocks})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.said = append(k.said, response{url, replace, string(body)})
	return err
}

func (k *replies) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.said)
}

func (k *replies) since(t testing.TB, n int) string {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.said) != n+1 {
		t.Fatalf("%d answers came, not one", len(k.said)-n)
	}
	return k.said[n].body
}

// catalog is a registry and a git side in memory, as slow as it is told to be.
type catalog struct {
	registry *deploystest.Registry
	mu       sync.Mutex
	images   []deploys.Listed
	commits  map[string]deploys.Commit
	fails    error
	slow     time.Duration
	slower   time.Duration // for what lies between commits, besides
	cold     bool          // nothing is cached
}

// waitGit is wait for what lies between commits.
func (c *catalog) waitGit(ctx context.Context) error {
	c.mu.Lock()
	slower := c.slower
	c.mu.Unlock()
	pause(ctx, slower)
	return c.wait(ctx)
}

func (c *catalog) wait(ctx context.Context) error {
	c.mu.Lock()
	slow, fails := c.slow, c.fails
	c.mu.Unlock()
	pause(ctx, slow)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fails
}

func (c *catalog) Images(ctx context.Context, a deploys.App) deploys.List {
	err := c.wait(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	return deploys.List{Images: c.images, Err: err}
}

func (c *catalog) Cached(a deploys.App) deploys.List {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cold {
		return deploys.List{}
	}
	return deploys.List{Images: c.images, Err: c.fails}
}

func (c *catalog) Ask(deploys.App, string) <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func (c *catalog) About(deploys.App, string) deploys.About {
	return deploys.About{CI: map[string]deploys.CI{}}
}

func (c *catalog) CachedCommit(_, tag string) (deploys.Commit, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	commit, ok := c.commits[tag]
	return commit, ok && !c.cold
}

func (c *catalog) Commit(ctx context.Context, _, sha string) (deploys.Commit, error) {
	if err := c.waitGit(ctx); err != nil {
		return deploys.Commit{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.commits[sha], nil
}

func (c *catalog) Range(ctx context.Context, _, _, to string) (deploys.Range, error) {
	if err := c.waitGit(ctx); err != nil {
		return deploys.Range{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return deploys.Range{Total: 1, Ahead: []deploys.Commit{c.commits[to]}}, nil
}

func (c *catalog) Resolve(ctx context.Context, repository, ref string) (deploys.Image, error) {
	if err := c.wait(ctx); err != nil {
		return deploys.Image{}, err
	}
	return c.registry.Resolve(ctx, repository, ref)
}

// people knows ana as a deployer, and keeps what was refused.
type people struct {
	mu      sync.Mutex
	linked  map[string]auth.Actor
	refused []string // "team/channel/user asked: sentence"
}

func newPeople() *people {
	return &people{linked: map[string]auth.Actor{anaID: {ID: "user:1", Name: "ana", Source: "slack", Method: "slack link", Grants: []auth.Grant{{Role: auth.Deployer}}}}}
}

const linkFirst = "Link your account first: the portal's account page shows you a code."

func (p *people) SlackActor(ctx context.Context, who auth.SlackUser) (auth.Actor, error) {
	if ctx.Err() != nil {
		return auth.Actor{}, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.linked[who.User]
	if !ok || who.Team != team {
		return auth.Actor{}, errs.New(errs.Unauthenticated, linkFirst)
	}
	return a, nil
}

func (p *people) grant(user, name string, grants ...auth.Grant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.linked[user] = auth.Actor{ID: "user:" + user, Name: name, Source: "slack", Method: "slack link", Grants: grants}
}

func (p *people) RedeemLink(_ context.Context, code string, who auth.SlackUser, _ string) (auth.SlackLink, error) {
	if code != "GOOD-CODE" {
		return auth.SlackLink{}, errs.New(errs.Invalid, "This code is not known, used, or too old. Ask the portal for a new one.")
	}
	p.grant(who.User, "ben", auth.Grant{Role: auth.Deployer})
	return auth.SlackLink{Account: "ben", Team: who.Team, User: who.User}, nil
}

func (p *people) UnlinkSlack(_ context.Context, who auth.SlackUser, _ string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.linked, who.User)
	return nil
}

func (p *people) RefuseSlack(_ context.Context, who auth.SlackUser, asked, sentence, _ string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = append(p.refused, who.Addr()+" "+asked+": "+sentence)
	return nil
}

func (p *people) refusals() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.refused...)
}
