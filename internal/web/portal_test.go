package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
	"deployportal/internal/preflight"
	"deployportal/internal/sqlite"
	"deployportal/internal/testenv"
	"deployportal/migrations"
)

// The people of the tests. All have the same password.
const (
	admin    = "ana"  // everywhere
	deployer = "dan"  // in staging
	viewer   = "vera" // in staging
	onlooker = "olaf" // sees everything
	nobody   = ""
	password = "correct horse battery staple"
)

var grants = map[string]auth.Grant{
	admin: {Role: auth.Admin}, deployer: {Role: auth.Deployer, Env: "staging"},
	viewer: {Role: auth.Viewer, Env: "staging"}, onlooker: {Role: auth.Viewer},
	"gina": {Role: auth.Viewer, Env: "staging"}, // whom others manage
}

// portal is a running server with a real store and domain and small outside worlds.
type portal struct {
	t        testing.TB
	db       *sqlite.DB
	accounts *auth.Accounts
	service  *deploys.Service
	cluster  *cluster
	catalog  *catalog
	server   *Server
	base     string
	log      *syncBuffer
	ahead    atomic.Int64 // how far the portal's clock is ahead
	stop     func() time.Duration
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func (p *portal) now() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }

// newPortal starts a portal; edit changes its options and its server before it serves.
func newPortal(t testing.TB, edit func(*Options), tune func(*Server)) *portal {
	t.Helper()
	return newPortalOf(t, func(*deploys.Options) {}, edit, tune)
}

// newPortalOf is newPortal with another service: alter changes its options.
func newPortalOf(t testing.TB, alter func(*deploys.Options), edit func(*Options), tune func(*Server)) *portal {
	t.Helper()
	p := &portal{t: t, catalog: newCatalog(), log: &syncBuffer{}}
	ctx, cancel := context.WithCancel(context.Background())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	p.db, err = sqlite.Open(ctx, filepath.Join(t.TempDir(), "portal.db"), p.now)
	must(err)
	must(p.db.Migrate(ctx, migrations.Files))
	p.accounts, err = auth.New(ctx, auth.Options{DB: p.db, Hash: auth.Params{Memory: 8, Time: 1, Threads: 1}})
	must(err)
	for name, g := range grants {
		_, err := p.accounts.Add(ctx, auth.CLIActor(), name, password, []auth.Grant{g})
		must(err)
	}
	p.cluster = newCluster(p.now)
	log := slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: foreign.LogAttr}))
	past := deploys.NewPast(p.db)
	domain := deploys.Options{DB: p.db, Cluster: p.cluster, Registry: p.catalog, Policy: auth.Policy{}, Commits: p.catalog, Log: log, Retry: 10 * time.Millisecond,
		Preflight: preflight.NewGatherer(p.cluster, p.catalog, p.catalog, past, nil)}
	alter(&domain)
	p.service = deploys.New(domain)
	o := Options{Deploys: p.service, Cluster: p.cluster, Catalog: p.catalog, Accounts: p.accounts, Policy: auth.Policy{}, Store: p.db,
		Prod: []string{"prod"}, Version: "test", Log: log, Now: p.now}
	if edit != nil {
		edit(&o)
	}
	if o.Preflight == nil {
		o.Preflight = preflight.NewGatherer(p.cluster, o.Catalog, o.Catalog.(preflight.Commits), past, nil)
	}
	p.server, err = New(o)
	must(err)
	p.server.times.board = time.Millisecond
	if tune != nil {
		tune(p.server)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	p.base = "http://" + ln.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.server.Serve(ctx, ln); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	wg.Go(func() {
		if err := p.service.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	p.stop = sync.OnceValue(func() time.Duration {
		began := time.Now()
		cancel()
		wg.Wait()
		return time.Since(began)
	})
	t.Cleanup(func() {
		p.stop()
		_ = p.db.Close()
	})
	p.until("the service runs", p.service.Running)
	return p
}

// until waits for a condition that something else brings about.
func (p *portal) until(what string, ok func() bool) {
	p.t.Helper()
	testenv.Until(p.t, 30*time.Second, what, ok)
}

// browser is one person's browser. It keeps the session's cookie as a browser on the same machine does.
type browser struct {
	p      *portal
	cookie *http.Cookie
	header http.Header
}

// response is an answer with its body read.
type response struct {
	*http.Response
	body string
	doc  *goquery.Document
}

func (a response) text(selector string) string {
	return strings.Join(strings.Fields(a.doc.Find(selector).Text()), " ")
}

var transport = &http.Transport{MaxIdleConnsPerHost: 2}

func (b *browser) do(method, path string, form url.Values) response {
	b.p.t.Helper()
	var body io.Reader
	if method == "POST" {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequest(method, b.p.base+path, body)
	if err != nil {
		b.p.t.Fatal(err)
	}
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, values := range b.header {
		r.Header[name] = values
	}
	if b.cookie != nil {
		r.AddCookie(b.cookie)
	}
	res, err := transport.RoundTrip(r)
	if err != nil {
		b.p.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	a := response{Response: res}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		a.body = "stream"
	} else if raw, err := io.ReadAll(res.Body); err != nil {
		b.p.t.Fatalf("%s %s: %v", method, path, err)
	} else {
		a.body = string(raw)
	}
	if a.doc, err = goquery.NewDocumentFromReader(strings.NewReader(a.body)); err != nil {
		b.p.t.Fatal(err)
	}
	for _, k := range res.Cookies() {
		if b.cookie = k; k.MaxAge < 0 {
			b.cookie = nil
		}
	}
	return a
}

func (b *browser) get(path string) response { b.p.t.Helper(); return b.do("GET", path, nil) }

func (b *browser) post(path string, form url.Values) response {
	b.p.t.Helper()
	return b.do("POST", path, form)
}

// as gives the browser of somebody, signed in.
func (p *portal) as(name string) *browser {
	p.t.Helper()
	b := &browser{p: p, header: http.Header{}}
	if name == nobody {
		return b
	}
	if a := b.post("/sign-in", url.Values{"account": {name}, "password": {password}}); a.StatusCode != 303 || b.cookie == nil {
		p.t.Fatalf("signing in as %s: %s\n%s", name, a.Status, a.body)
	}
	return b
}

func target(env string) deploys.Target { return deploys.Target{App: "api", Env: env} }

// start asks for a deploy of an image, past the pages.
func (p *portal) start(env, letter string) deploys.Deploy {
	p.t.Helper()
	d, err := p.service.Start(context.Background(), deploys.Request{Target: target(env), Image: tagOf(letter),
		Actor: auth.Actor{ID: "user:1", Name: admin, Source: "cli", Method: "shell", Grants: []auth.Grant{{Role: auth.Admin}}}})
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// patched waits until the patch of a deploy has landed and the first view of it is stored.
func (p *portal) patched(id int64) deploys.Deploy {
	p.t.Helper()
	var d deploys.Deploy
	p.until("the patch is sent", func() bool {
		d, _ = p.service.Get(context.Background(), id)
		return !d.Patched.IsZero() && d.Rollout != nil
	})
	return d
}

func (p *portal) over(id int64) deploys.Deploy {
	p.t.Helper()
	var d deploys.Deploy
	p.until("the deploy is over", func() bool {
		d, _ = p.service.Get(context.Background(), id)
		return !d.Active()
	})
	return d
}

// entries gives the newest audit entries of an action.
func (p *portal) entries(action string) []audit.Entry {
	p.t.Helper()
	list, err := audit.List(context.Background(), p.db, audit.Filter{Action: action, Limit: 1000})
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

// ofAna is a lock of ana's on an environment, and marked a mark that was made there; each is made when it is not there.
func (p *portal) ofAna(env string) int64 {
	p.t.Helper()
	ctx := context.Background()
	all, err := p.service.Locks(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, l := range all {
		if l.Scope == (deploys.Scope{Env: env}) {
			return l.ID
		}
	}
	l, err := p.service.Lock(ctx, deploys.LockRequest{Scope: deploys.Scope{Env: env}, Reason: "a reason", Actor: p.actor(admin)})
	if err != nil {
		p.t.Fatal(err)
	}
	return l.ID
}

func (p *portal) marked(env, letter string) (id int64) {
	p.t.Helper()
	ctx := context.Background()
	err := p.db.Write(ctx, func(tx *sqlite.Tx) error {
		e, err := audit.Append(ctx, tx, audit.Entry{Actor: p.actor(admin).Audit(), Action: audit.ImageMarkedBad, App: "api", Env: env, Outcome: "ok"})
		if err != nil {
			return err
		}
		id = e.Seq
		_, err = tx.Exec(ctx, `INSERT OR REPLACE INTO bad_images (id, digest, repository, tag, app, env, reason, actor_id, actor_name, created_at)
			VALUES (?, ?, ?, ?, 'api', ?, 'it leaks', 'user:1', 'ana', ?)`, id, digestOf(letter), repository, tagOf(letter), env, tx.Now)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

// actor is somebody past the pages.
func (p *portal) actor(name string) auth.Actor {
	p.t.Helper()
	all, err := p.accounts.List(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, a := range all {
		if a.Name == name {
			return auth.Actor{ID: fmt.Sprintf("user:%d", a.ID), Name: name, Source: "cli", Method: "shell", Grants: a.Grants}
		}
	}
	p.t.Fatalf("nobody is called %s", name)
	return auth.Actor{}
}

// confirmed reads the form of a confirm page, with everything a browser would send.
func confirmed(a response) url.Values {
	form := url.Values{}
	a.doc.Find("main form[method=post] input[name]").Each(func(_ int, s *goquery.Selection) {
		name, _ := s.Attr("name")
		if _, ticked := s.Attr("checked"); s.AttrOr("type", "") == "checkbox" && !ticked {
			return
		}
		value, _ := s.Attr("value")
		form.Set(name, value)
	})
	return form
}

func id(n int64) string { return strconv.FormatInt(n, 10) }
