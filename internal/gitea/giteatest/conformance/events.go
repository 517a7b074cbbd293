package conformance

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"
)

// patience is how long an event may take. Real ones come within a second.
const patience = 20 * time.Second

// event is one delivery of a webhook.
type event struct {
	header http.Header
	body   []byte
	told   struct {
		Action     string
		Repository any
		Package    struct {
			Owner               struct{ Login string }
			Type, Name, Version string
			Repository          any
		}
	}
}

// inbox takes webhooks.
type inbox struct {
	events chan event
	secret string
	url    string
}

func (p *probe) inbox(t T) *inbox {
	t.Helper()
	in := &inbox{events: make(chan event, 1000), secret: "a secret of the suite"}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		e := event{header: r.Header, body: body}
		if err == nil && json.Unmarshal(body, &e.told) == nil {
			in.events <- e
		}
	}))
	t.Cleanup(server.Close)
	in.url = server.URL + "/hook"
	p.b.Hook(t, in.url, in.secret)
	return in
}

// until gives the events of an image up to the one of a tag.
func (in *inbox) until(t T, image, tag string) (got []event) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case e := <-in.events:
			if e.told.Package.Name != image {
				continue // of another case
			}
			if got = append(got, e); e.told.Package.Version == tag {
				return got
			}
		case <-timer.C:
			t.Fatalf("no event for %s:%s; got %q", image, tag, versions(got))
		}
	}
}

func versions(all []event) (v []string) {
	for _, e := range all {
		v = append(v, e.told.Action+" "+e.told.Package.Version)
	}
	return v
}

// pushed pushes an index and a marker image after it, and gives the events of the index. Whatever comes after the
// tag's own event and before the marker's belongs to it too.
func (p *probe) pushed(t T, in *inbox, image string) (got []event, parts []string) {
	t.Helper()
	index := randomIndex(t)
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range m.Manifests {
		parts = append(parts, d.Digest.String())
	}
	p.push(t, image, "abc1234", index)
	p.push(t, image, "marker0", randomImage(t))
	got = in.until(t, image, "marker0")
	return got[:len(got)-1], parts
}

// eventEach: a push of two platforms with attestations is five events.
func (p *probe) eventEach(t T) {
	got, parts := p.pushed(t, p.inbox(t), "events")
	want := []string{"created abc1234"}
	for _, d := range parts {
		want = append(want, "created "+d)
	}
	found := versions(got)
	slices.Sort(found)
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("events %q, want one for the tag and for each part: %q", found, want)
	}
}

// eventOrder: the tag's event is the last of a push.
func (p *probe) eventOrder(t T) {
	got, _ := p.pushed(t, p.inbox(t), "eventorder")
	if len(got) == 0 || got[len(got)-1].told.Package.Version != "abc1234" {
		t.Errorf("events %q, want the tag's last", versions(got))
	}
}

// eventRepository: null, as in the list.
func (p *probe) eventRepository(t T) {
	got, _ := p.pushed(t, p.inbox(t), "eventrepo")
	for _, e := range got {
		if e.told.Repository != nil || e.told.Package.Repository != nil {
			t.Errorf("event of %s names a repository", e.told.Package.Version)
		}
		if q := e.told.Package; q.Type != "container" || q.Name != "eventrepo" || q.Owner.Login != p.b.Owner() {
			t.Errorf("event %.300s, want a container of %s", e.body, p.b.Owner())
		}
	}
	if len(got) > 0 && !strings.Contains(string(got[0].body), `"repository": null`) {
		t.Errorf("event %.300s, want repository null, and indented", got[0].body)
	}
}

// eventSigned: what kind, a number of its own, and an HMAC over the body as it came, in two headers.
func (p *probe) eventSigned(t T) {
	in := p.inbox(t)
	got, _ := p.pushed(t, in, "eventsigned")
	seen := map[string]bool{}
	for _, e := range got {
		mac := hmac.New(sha256.New, []byte(in.secret))
		mac.Write(e.body)
		want := hex.EncodeToString(mac.Sum(nil))
		if sum := e.header.Get("X-Gitea-Signature"); sum != want {
			t.Errorf("signature %q, want %q", sum, want)
		}
		if sum := e.header.Get("X-Hub-Signature-256"); sum != "sha256="+want {
			t.Errorf("signature %q, want sha256=%s", sum, want)
		}
		id := e.header.Get("X-Gitea-Delivery")
		if e.header.Get("X-Gitea-Event") != "package" || len(id) != 36 || seen[id] || e.header.Get("Content-Type") != "application/json" {
			t.Errorf("headers %v, want a package event with a number of its own", e.header)
		}
		seen[id] = true
	}
}

// eventOverwrite: no event tells that the old image went.
func (p *probe) eventOverwrite(t T) {
	in := p.inbox(t)
	p.push(t, "eventmoved", "abc1234", randomImage(t))
	p.push(t, "eventmoved", "abc1234", randomImage(t))
	p.push(t, "eventmoved", "marker0", randomImage(t))
	want := []string{"created abc1234", "created abc1234", "created marker0"}
	if got := versions(in.until(t, "eventmoved", "marker0")); !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// cleanup: "keep 5" of five images of five rows each leaves one image.
func (p *probe) cleanup(t T) {
	for i := range 5 {
		p.push(t, "cleaned", fmt.Sprintf("%07d", i), randomIndex(t))
	}
	p.b.Cleanup(t, "cleaned", 5)
	if tags, _ := p.tagList(t, "cleaned", ""); !slices.Equal(tags, []string{"0000004"}) {
		t.Errorf("tags %q after the cleanup, want the newest alone", tags)
	}
}

// cleanupSilent: what a rule deletes, no event tells.
func (p *probe) cleanupSilent(t T) {
	in := p.inbox(t)
	for i := range 6 {
		p.push(t, "silent", fmt.Sprintf("%07d", i), randomImage(t))
	}
	in.until(t, "silent", "0000005")
	p.b.Cleanup(t, "silent", 5)
	if tags, _ := p.tagList(t, "silent", ""); len(tags) != 5 {
		t.Fatalf("tags %q after the cleanup, want five", tags)
	}
	p.push(t, "silent", "marker0", randomImage(t))
	if got := versions(in.until(t, "silent", "marker0")); !slices.Equal(got, []string{"created marker0"}) {
		t.Errorf("events %q, want none of the cleanup", got)
	}
}
