// Package giteareal gives tests the real Gitea that devstack runs.
package giteareal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"

	"deployportal/internal/gitea/giteatest/conformance"
	"deployportal/internal/testenv"
)

// Site is a running Gitea with devstack's sample data.
type Site struct {
	URL   string // without trailing slash
	Host  string // as it stands in image strings
	Owner string // the organisation of the sample data
	User  string // may read Owner's images and repositories, no more
	Token string // of User

	Admin, AdminPassword, AdminToken string

	Apps []App
}

// App is one app of the sample data.
type App struct {
	Name, Image, Git string
	Tags             []string // newest push first; each is a commit
	Digests          map[string]string
}

// Need returns the Gitea, or skips the test when devstack runs none. With CI=true that is a failure instead: a skip
// would look like a pass there.
func Need(t testing.TB) *Site {
	t.Helper()
	var info struct{ Gitea *Site }
	if path := os.Getenv("DEVSTACK"); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("read DEVSTACK: %v", err)
		}
		if err := json.Unmarshal(text, &info); err != nil {
			t.Fatalf("decode %s: %v", path, err)
		}
	}
	if info.Gitea == nil {
		testenv.Skip(t, `needs a real Gitea: run through "go run -C devstack . run --gitea=real -- ..."`)
	}
	return info.Gitea
}

type object = map[string]any

// call asks the API with a whole Authorization value and decodes the answer into out; out may be nil.
func (s *Site) call(t conformance.T, auth, method, path string, in, out any) {
	t.Helper()
	if err := s.try(t.Context(), auth, method, path, in, out); err != nil {
		t.Fatal(err)
	}
}

func (s *Site) try(ctx context.Context, auth, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL+"/api/v1/"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", auth)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, res.Status, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// admin asks as administrator.
func (s *Site) admin(t conformance.T, method, path string, in, out any) {
	t.Helper()
	s.call(t, "token "+s.AdminToken, method, path, in, out)
}
