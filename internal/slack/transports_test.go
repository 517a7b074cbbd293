package slack

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/slack/slacktest"
	"deployportal/internal/sqlite"
	"deployportal/internal/testenv"
	"deployportal/migrations"
)

// brief is a cluster whose rollouts need not stay well for long.
type brief struct{ *deploystest.Cluster }

func (b brief) App(t deploys.Target) (deploys.App, error) {
	a, err := b.Cluster.App(t)
	a.Stability = 10 * time.Millisecond
	return a, err
}

// TestTransports: from the command to the message that says how it went, over both transports, against a Slack that refuses
// what Slack refuses.
func TestTransports(t *testing.T) {
	for _, transport := range []string{"http", "socket"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			journey(t, transport == "socket")
		})
	}
}

func journey(t *testing.T, overSocket bool) {
	s := slacktest.New()
	s.Team, s.App, s.Every = team, app, 2*time.Second
	s.Invite(channel)
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "portal.db"), time.Now)
	must(t, err)
	must(t, db.Migrate(t.Context(), migrations.Files))
	registry, cluster := deploystest.NewRegistry(), deploystest.NewCluster(time.Now, apiProd)
	svc := deploys.New(deploys.Options{DB: db, Cluster: brief{cluster}, Registry: registry, Policy: auth.Policy{}, Log: slog.New(slog.DiscardHandler)})
	log := &strings.Builder{}
	o := Options{Deploys: svc, Cluster: brief{cluster}, Catalog: &catalog{registry: registry, images: []deploys.Listed{{Tag: "abc1234"}}, commits: map[string]deploys.Commit{}},
		People: newPeople(), Policy: auth.Policy{}, DB: db, Team: team, App: app, BotToken: s.BotToken, APIURL: s.Listen(t), PublicURL: "https://portal.example.org",
		Envs: []Env{{Name: "prod"}}, Log: slog.New(slog.NewTextHandler(&locked{b: log}, nil))}
	if o.SigningSecret = s.SigningSecret; overSocket {
		o.SigningSecret, o.AppToken = "", s.AppToken
	}
	door, err := New(o)
	must(t, err)
	running := func(run func(context.Context) error) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- run(ctx) }()
		t.Cleanup(func() {
			cancel()
			must(t, <-done)
		})
	}
	t.Cleanup(func() { must(t, db.Close()) })
	running(svc.Run)
	testenv.Until(t, time.Minute, "the service runs", svc.Running)
	running(door.Run)
	if overSocket {
		testenv.Until(t, time.Minute, "a connection", func() bool { return s.Connected() > 0 })
	} else {
		server := httptest.NewServer(door)
		t.Cleanup(server.Close)
		s.Portal = server.URL
	}

	someone := slacktest.User{ID: anaID, Name: "ana"}
	seen := func(what string, of func(slacktest.Message) bool) (found slacktest.Message) {
		t.Helper()
		testenv.Until(t, time.Minute, what, func() bool {
			for _, m := range s.Messages(channel) {
				if of(m) {
					found = m
					return true
				}
			}
			return false
		})
		return found
	}
	if a := s.Send(t.Context(), s.Command(someone, channel, "/deploy", "api abc1234"), 0); a.Err != "" {
		t.Fatalf("%+v", a)
	}
	plan := seen("a plan", func(m slacktest.Message) bool { return m.Button(actionDeploy) != nil })
	if plan.For != anaID {
		t.Errorf("the plan is for %q", plan.For)
	}
	press := s.Press(someone, plan, *plan.Button(actionDeploy))
	for retry := range 3 { // somebody presses twice, and Slack sends one again
		if a := s.Send(t.Context(), press, retry); a.Err != "" && !(retry > 0 && a.Status == 401) {
			t.Fatalf("press %d: %+v", retry, a)
		}
	}
	live := func(word string) func(slacktest.Message) bool {
		return func(m slacktest.Message) bool { return m.For == "" && strings.Contains(m.Seen(), word) }
	}
	seen("the message of the deploy", live("*Rolling out:* api to `abc1234` in prod"))
	cluster.Update(apiProd, func(r *deploys.Rollout) { deploystest.Complete(r, time.Now()) })
	m := seen("its end", live(":large_green_circle: *Succeeded:*"))
	testenv.Until(t, time.Minute, "the details", func() bool { return len(s.Thread(m)) == 1 })
	all := 0
	for _, m := range s.Messages(channel) {
		if m.For == "" {
			all++
		}
	}
	if all != 1 {
		t.Errorf("%d messages in the channel, want 1", all)
	}
	for _, c := range s.Calls() {
		if c.Error != "ok" {
			t.Errorf("Slack refused %s: %s", c.Method, c.Error)
		}
	}
}
