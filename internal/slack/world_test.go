package slack

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/sqlite"
	"deployportal/internal/testenv"
	"deployportal/migrations"
)

const (
	team, app  = "T0123ABCD", "A0123ABCD"
	secret     = "8f742231b10e8888abcd99yyyzzz85a5"
	channel    = "C0123ABCD"
	anaID      = "U0ANA"
	benID      = "U0BEN"
	responding = "https://hooks.slack.test/commands/T0123ABCD/1/secret"
)

var (
	apiProd    = deploys.Target{App: "api", Env: "prod"}
	apiStaging = deploys.Target{App: "api", Env: "staging"}
	adminProd  = deploys.Target{App: "admin", Env: "prod"}
)

// sha is a full SHA that begins with a word of hex.
func sha(begin string) string { return begin + strings.Repeat("0", 40-len(begin)) }

// world is a Door over a real service, with a cluster, a registry and a Slack in memory.
type world struct {
	testing.TB
	door     *Door
	db       *sqlite.DB
	svc      *deploys.Service
	cluster  *deploystest.Cluster
	registry *deploystest.Registry
	checks   *deploystest.Preflight
	catalog  *catalog
	people   *people
	slack    *replies
	log      *strings.Builder
	end      func()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, cluster: deploystest.NewCluster(time.Now, apiProd, apiStaging, adminProd), registry: deploystest.NewRegistry(),
		checks: &deploystest.Preflight{}, people: newPeople(), slack: &replies{}, log: &strings.Builder{}}
	w.catalog = &catalog{registry: w.registry, commits: map[string]deploys.Commit{}}
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "portal.db"), time.Now)
	must(t, err)
	must(t, db.Migrate(t.Context(), migrations.Files))
	w.db = db
	w.svc = deploys.New(deploys.Options{DB: db, Cluster: w.cluster, Registry: w.registry, Policy: auth.Policy{}, Preflight: w.checks, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.svc.Run(ctx) }()
	testenv.Until(t, time.Minute, "the service runs", w.svc.Running)
	w.door = w.open()
	w.end = sync.OnceFunc(func() {
		w.door.stop()
		w.door.work.Wait()
		cancel()
		must(t, <-done)
		must(t, db.Close())
	})
	t.Cleanup(w.end)
	return w
}

func (w *world) options() Options {
	return Options{Deploys: w.svc, Cluster: w.cluster, Catalog: w.catalog, Preflight: w.checks, People: w.people, Policy: auth.Policy{}, DB: w.db,
		Team: team, App: app, SigningSecret: secret, BotToken: "xoxb-1", PublicURL: "https://portal.example.org",
		Envs: []Env{{Name: "prod", Channel: "C0PROD", Confirm: true}},
		Log:  slog.New(slog.NewTextHandler(&locked{b: w.log}, nil))}
}

func (w *world) open() *Door {
	w.Helper()
	d, err := New(w.options())
	must(w, err)
	d.talk = w.slack
	return d
}

// locked lets several write to a builder.
type locked struct {
	mu sync.Mutex
	b  *strings.Builder
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// list makes these tags the app's images, with a commit each, newest first.
func (w *world) list(tags ...string) {
	w.catalog.mu.Lock()
	defer w.catalog.mu.Unlock()
	for i, tag := range tags {
		c := deploys.Commit{SHA: tag, Subject: "Change number " + strconv.Itoa(i), Author: "ana"}
		w.catalog.commits[tag] = c
		w.catalog.images = append(w.catalog.images, deploys.Listed{ID: int64(i), Tag: tag, Commit: c, Pushed: time.Unix(1764000000, 0)})
	}
}

// form is a command as Slack sends it.
func form(user, text string) url.Values {
	return url.Values{"token": {"gone"}, "team_id": {team}, "team_domain": {"acme"}, "channel_id": {channel}, "channel_name": {"deploys"},
		"user_id": {user}, "user_name": {"whoever"}, "command": {"/deploy"}, "text": {text}, "response_url": {responding},
		"trigger_id": {"1.2.3"}, "api_app_id": {app}, "is_enterprise_install": {"false"}}
}

// press is the press of a button as Slack sends it.
func press(user, action, value string) url.Values {
	body, _ := json.Marshal(map[string]any{"type": "block_actions", "api_app_id": app, "team": map[string]any{"id": team, "domain": "acme"},
		"user": map[string]any{"id": user, "team_id": team}, "channel": map[string]any{"id": channel}, "response_url": responding,
		"is_enterprise_install": false, "actions": []any{map[string]any{"action_id": action, "value": value, "type": "button", "block_id": "x"}}})
	return url.Values{"payload": {string(body)}}
}

// sign makes the request of a form, signed for a time.
func sign(f url.Values, at time.Time) *http.Request { return signBody(f.Encode(), at, secret) }

func signBody(body string, at time.Time, secret string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/hooks/slack", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	stamp := strconv.FormatInt(at.Unix(), 10)
	r.Header.Set("X-Slack-Request-Timestamp", stamp)
	r.Header.Set("X-Slack-Signature", signatureOf("v0:"+stamp+":"+body, secret))
	return r
}

func signatureOf(signed, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

// serve gives what a request is answered with.
func (w *world) serve(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.door.ServeHTTP(rec, r)
	return rec
}

var unique int
var uniqueMu sync.Mutex

// fresh makes a form differ from every other, as Slack's trigger ids do.
func fresh(f url.Values) url.Values {
	uniqueMu.Lock()
	defer uniqueMu.Unlock()
	unique++
	if f.Has("payload") {
		f.Set("payload", strings.Replace(f.Get("payload"), "{", fmt.Sprintf(`{"trigger_id":"%d",`, unique), 1))
	} else {
		f.Set("trigger_id", strconv.Itoa(unique))
	}
	return f
}

// command types a command and gives the whole answer.
func (w *world) command(user, text string) string {
	w.Helper()
	before := w.slack.count()
	rec := w.serve(sign(fresh(form(user, text)), time.Now()))
	if rec.Code != http.StatusOK {
		w.Fatalf("/deploy %s: status %d", text, rec.Code)
	}
	if !strings.Contains(rec.Body.String(), "Looking") {
		return rec.Body.String()
	}
	w.door.work.Wait()
	return w.slack.since(w, before)
}

// press presses a button and gives what came of it.
func (w *world) press(user, action, value string) string {
	w.Helper()
	before := w.slack.count()
	rec := w.serve(sign(fresh(press(user, action, value)), time.Now()))
	if rec.Code != http.StatusOK || rec.Body.Len() > 0 {
		w.Fatalf("press of %s: status %d, %q", action, rec.Code, rec.Body)
	}
	w.door.work.Wait()
	return w.slack.since(w, before)
}

// planID is the id that the Deploy button of an answer has.
func (w *world) planID(answer string) string {
	w.Helper()
	_, rest, ok := strings.Cut(answer, `"action_id":"deploy"`)
	_, rest, ok2 := strings.Cut(rest, `"value":"`)
	id, _, ok3 := strings.Cut(rest, `"`)
	if !ok || !ok2 || !ok3 || len(id) != 32 {
		w.Fatalf("there is no plan in %s", answer)
	}
	return id
}

func (w *world) count(query string) (n int) {
	w.Helper()
	must(w, w.db.QueryRow(w.Context(), query).Scan(&n))
	return n
}

func (w *world) says(answer string, want ...string) {
	w.Helper()
	for _, s := range want {
		if !strings.Contains(answer, s) {
			w.Errorf("the answer does not say %q:\n%s", s, answer)
		}
	}
}
