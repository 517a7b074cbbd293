package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRealGiteaWithItsSampleData(t *testing.T) {
	state := t.TempDir()
	s, err := Start(t.Context(), Options{State: state, Gitea: GiteaOnly, Progress: NewProgress(os.Stderr)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	text, err := os.ReadFile(s.InfoFile())
	if err != nil {
		t.Fatal(err)
	}
	var info struct{ Gitea GiteaInfo }
	if err := json.Unmarshal(text, &info); err != nil {
		t.Fatal(err)
	}
	g := info.Gitea
	portal := giteaAPI{g.URL, g.Token}
	for _, a := range g.Apps {
		var rows []struct{ Version string }
		if err := portal.do(t.Context(), http.MethodGet, "packages/acme/container/"+a.Name+"?limit=50", nil, &rows); err != nil {
			t.Fatal(err)
		}
		if len(rows) < 4*len(a.Tags) || rows[0].Version != a.Tags[0] {
			t.Errorf("%s: %d rows, want the newest tag first and the parts of %d images", a.Name, len(rows), len(a.Tags))
		}
		var state struct{ State string }
		if err := portal.do(t.Context(), http.MethodGet, "repos/acme/"+a.Name+"/commits/"+a.Tags[0]+"/status", nil, &state); err != nil || state.State == "" {
			t.Errorf("%s: CI state %q, %v", a.Name, state.State, err)
		}
	}
	if api := g.Apps[0]; !strings.HasPrefix(api.Failing, "bad0") || !strings.HasPrefix(api.Slow, "510") {
		t.Errorf("failing %s, slow %s", api.Failing, api.Slow)
	}
	if err := portal.post(t.Context(), "orgs/acme/hooks", object{}, nil); err == nil {
		t.Error("the portal's account may do more than read")
	}
	var hooks []struct{ Config struct{ URL string } }
	admin := giteaAPI{g.URL, g.AdminToken}
	if err := admin.do(t.Context(), http.MethodGet, "orgs/acme/hooks", nil, &hooks); err != nil || len(hooks) != 1 || hooks[0].Config.URL != g.WebhookURL {
		t.Errorf("webhooks %+v, %v", hooks, err)
	}
	home := s.gitea.home.dir
	s.Close()
	waitFor(t, "Gitea's folder to go", func(context.Context) error {
		if _, err := os.Stat(home); !os.IsNotExist(err) {
			return fmt.Errorf("%s: %v", home, err)
		}
		return nil
	})
}

func TestUnknownKindOfGiteaIsRefused(t *testing.T) {
	if _, err := Start(t.Context(), Options{State: t.TempDir(), Gitea: "fake"}); err == nil || !strings.Contains(err.Error(), "fake") {
		t.Errorf("got %v, want it named", err)
	}
}

// What a killed start left is removed by the next, and nothing else is, whatever the note says.
func TestGiteaFolderOfAKilledStart(t *testing.T) {
	for name, gone := range map[string]bool{giteaHomePrefix + "1": true, "precious": false} {
		state, dir := t.TempDir(), filepath.Join(t.TempDir(), name)
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(state, giteaHomeNote), []byte(dir), 0o600); err != nil {
			t.Fatal(err)
		}
		clearState(state)
		if _, err := os.Stat(dir); os.IsNotExist(err) != gone {
			t.Errorf("%s: %v, want it gone: %v", name, err, gone)
		}
	}
}

func TestCopiedFilesAreTheOwnersAlone(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "hook": 0o755} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("plain", filepath.Join(from, "link")); err != nil {
		t.Fatal(err)
	}
	if err := copyTree(from, to, nobody{}); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"plain": 0o600, "hook": 0o700} {
		info, err := os.Stat(filepath.Join(to, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, mode)
		}
	}
	if link, err := os.Readlink(filepath.Join(to, "link")); err != nil || link != "plain" {
		t.Errorf("link %q, %v", link, err)
	}
}
