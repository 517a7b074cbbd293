package slack

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/slack/slacktest"
	"deployportal/internal/sqlite"
	"deployportal/migrations"
)

var (
	inProd  = deploys.Target{App: "api", Env: "prod"}
	inStage = deploys.Target{App: "api", Env: "staging"}
	ana     = auth.Actor{ID: "user:1", Name: "ana", Source: "web", Method: "session", Addr: "10.0.0.7", Grants: []auth.Grant{{Role: auth.Deployer}}}
	anaHere = auth.Actor{ID: "user:1", Name: "ana", Source: "slack", Method: "slack link", Addr: "T/C/U", Grants: []auth.Grant{{Role: auth.Deployer}}}
)

// stage is a service that deploys, and the workspace that is told of it, in a bubble where time is free.
type stage struct {
	*testing.T
	slack    *slacktest.Slack
	cluster  *deploystest.Cluster
	registry *deploystest.Registry
	commits  *deploystest.Commits
	db       *sqlite.DB
	svc      *deploys.Service
	envs     []Env
	talker   func(talker) talker // around the client's
	log      bytes.Buffer
	stops    []func() // what runs, the newest last
}

// slow is a cluster whose rollouts may take hours.
type slow struct{ *deploystest.Cluster }

func (s slow) App(t deploys.Target) (deploys.App, error) {
	app, err := s.Cluster.App(t)
	app.Limit = 3 * time.Hour
	return app, err
}

// subjects is a catalog that knows the subjects of commits alone.
type subjects struct{ Catalog }

func (subjects) CachedCommit(_, tag string) (deploys.Commit, bool) {
	return deploys.Commit{SHA: tag, Subject: "Fix <the> parser & more"}, true
}

func onStage(t *testing.T, f func(*stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{T: t, slack: slacktest.New(), registry: deploystest.NewRegistry(), commits: &deploystest.Commits{}, cluster: deploystest.NewCluster(time.Now, inProd, inStage),
			envs: []Env{{Name: "prod", Channel: deploysChannel}}}
		s.slack.Invite(deploysChannel, askedChannel)
		s.slack.Every = 2 * time.Second
		db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "portal.db"), time.Now)
		s.must(err)
		s.must(db.Migrate(t.Context(), migrations.Files))
		s.db = db
		s.startService()
		s.startAnnouncer()
		defer func() {
			s.stopAll()
			s.must(db.Close())
		}()
		f(s)
		for _, m := range append(s.slack.Messages(deploysChannel), s.slack.Messages(askedChannel)...) {
			s.paced(m)
		}
	})
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// runs runs something until stopAll.
func (s *stage) runs(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		s.must(<-done)
	})
	s.stops = append(s.stops, stop)
	synctest.Wait()
	return stop
}

func (s *stage) startService() (stop func()) {
	s.svc = deploys.New(deploys.Options{DB: s.db, Cluster: slow{s.cluster}, Registry: s.registry, Policy: auth.Policy{}, Commits: s.commits})
	return s.runs(s.svc.Run)
}

func (s *stage) startAnnouncer() (stop func()) {
	o := Options{Deploys: s.svc, Cluster: slow{s.cluster}, Catalog: subjects{}, DB: s.db, BotToken: slacktest.BotToken, Envs: s.envs,
		PublicURL: "https://deploy.example.org/", Client: s.slack.Client(), Log: slog.New(slog.NewTextHandler(&s.log, nil))}
	var t talker = newClient(o)
	if s.talker != nil {
		t = s.talker(t)
	}
	return s.runs(newAnnouncer(o, t).run)
}

// stopAll stops the announcer, then the service.
func (s *stage) stopAll() {
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
	s.stops = nil
}

func (s *stage) start(req deploys.Request) deploys.Deploy {
	s.Helper()
	d, err := s.svc.Start(s.Context(), req)
	s.must(err)
	synctest.Wait()
	return d
}

func (s *stage) deploy(t deploys.Target, tag string) deploys.Deploy {
	s.Helper()
	return s.start(deploys.Request{Target: t, Image: tag, Actor: ana})
}

// asked is a deploy by a plan that was asked for in a channel; the plan does not know yet what it began.
func (s *stage) asked(channel, tag string) deploys.Deploy {
	s.Helper()
	const id = "0123456789abcdef0123456789abcdef"
	s.must(s.db.Write(s.Context(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec(s.Context(), `INSERT INTO slack_plans (id, team, channel, user, command, request, created_at, expires_at) VALUES (?, 'T', ?, 'U', 'c', '{}', ?, ?)`,
			id, channel, tx.Now, tx.Now)
		return err
	}))
	return s.start(deploys.Request{Target: inProd, Image: tag, Actor: anaHere, Key: "slack:" + id})
}

// pass lets time pass.
func (s *stage) pass(d time.Duration) {
	time.Sleep(d) // the bubble's clock: no real time passes
	synctest.Wait()
}

// finish has the rollout of a target succeed.
func (s *stage) finish(t deploys.Target) {
	s.cluster.Update(t, func(r *deploys.Rollout) { deploystest.Complete(r, time.Now()) })
	s.pass(15 * time.Second)
}

// progress makes n new pods ready; the next one starts, and its probe has failed so often.
func (s *stage) progress(t deploys.Target, n int, fails int32) {
	s.cluster.Update(t, func(r *deploys.Rollout) {
		r.ObservedGeneration = r.Generation
		rs := &r.ReplicaSets[0]
		fresh := r.Pods[:0:0]
		for _, p := range r.Pods {
			if p.ReplicaSet != rs.Name {
				fresh = append(fresh, p)
			}
		}
		for i := range n + 1 {
			name := rs.Name + "-" + string(rune('a'+i))
			c := deploys.Container{Name: "api", Image: r.Images["api"], State: "running", Since: time.Now(), Started: i < n, Ready: i < n}
			p := deploys.Pod{Name: name, UID: name, ReplicaSet: rs.Name, Node: "node-1", Phase: "Running", Created: time.Now(), Scheduled: time.Now(), Ready: i < n}
			if i == n {
				c.Startup = &deploys.Probe{Ask: "GET /health on port 8000", Period: 10 * time.Second, Threshold: 30, Fails: fails, Answer: "HTTP 503", HTTP: 503, LastFail: time.Now()}
			}
			p.Containers = []deploys.Container{c}
			fresh = append(fresh, p)
		}
		r.Pods, r.Updated, r.Replicas, r.Ready, r.Available = fresh, int32(n+1), 4, 3, 3
	})
	synctest.Wait()
}

// only gives the one message of a channel.
func (s *stage) only(channel string) slacktest.Message {
	s.Helper()
	all := s.slack.Messages(channel)
	if len(all) != 1 {
		for _, m := range all {
			s.Log(m.Seen())
		}
		s.Fatalf("%d messages in %s, want 1\n%s", len(all), channel, s.log.String())
	}
	return all[0]
}

// reads asserts that a message says all of it.
func (s *stage) reads(m slacktest.Message, want ...string) {
	s.Helper()
	for _, w := range want {
		if !strings.Contains(m.Seen(), w) {
			s.Errorf("the message lacks %q:\n%s", w, m.Seen())
		}
	}
}

// paced asserts that a message was not edited faster than it may be.
func (s *stage) paced(m slacktest.Message) {
	s.Helper()
	last := m.At
	for _, e := range m.Edits {
		if e.At.Sub(last) < 2*time.Second {
			s.Errorf("edited %s after the edit before", e.At.Sub(last))
		}
		last = e.At
	}
}

// closed asserts that nothing is left to say.
func (s *stage) closed() {
	s.Helper()
	var n int
	_, err := sqlite.Row(s.db.QueryRow(s.Context(), `SELECT count(*) FROM slack_messages WHERE done_at IS NULL`).Scan(&n))
	s.must(err)
	if n > 0 {
		s.Errorf("%d messages are still followed\n%s", n, s.log.String())
	}
}

// refusals lists what Slack refused, without what it was asked to wait for.
func (s *stage) refusals() (out []string) {
	for _, c := range s.slack.Calls() {
		if c.Error != "ok" {
			out = append(out, c.Method+": "+c.Error)
		}
	}
	return out
}

func (s *stage) exec(statement string) error {
	return s.db.Write(s.Context(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec(s.Context(), statement)
		return err
	})
}
