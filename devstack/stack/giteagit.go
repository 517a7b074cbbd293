package stack

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// giteaStory is one app of the sample data, oldest commit first.
type giteaStory struct {
	name    string
	commits []giteaCommit
}

type giteaCommit struct {
	subject string
	author  string
	file    string // that it changes or adds; empty: main.go
	prefix  string // its SHA begins with it: what simulated nodes act on
	ci      string // state of its build; empty: success; "none": nothing reported
	noImage bool   // its build was never pushed
	plain   bool   // a single-platform image without attestations
}

var giteaStories = []giteaStory{
	{"api", []giteaCommit{
		{subject: "Build with Go 1.25, as go.mod asks for", author: "Ana Duarte", file: "go.mod"},
		{subject: "Push images under their commit only, never latest", author: "Tomás Reyes", plain: true},
		{subject: "Create the tasks table", author: "Tomás Reyes", file: "migrations/0001_tasks.sql"},
		{subject: "Refer to secrets by their alias in the stack file", author: "Ana Duarte", file: "stack.yaml", noImage: true},
		{subject: "Report build and schema version on /api/health", author: "Mei Lin"},
		{subject: "Relax CSP for the landing page", author: "Jonas Falk", ci: "none"},
		{subject: "Serialize migrations across replicas", author: "Ana Duarte", file: "internal/migrate.go", prefix: "510"},
		{subject: "Add an index on tasks by household and due date", author: "Tomás Reyes", file: "migrations/0002_tasks_due.sql"},
		{subject: "Reset the cache once when Redis is away", author: "Mei Lin", prefix: "bad0", ci: "failure"},
		{subject: "Page the residences list", author: "Jonas Falk", ci: "pending"},
	}},
	{"admin", []giteaCommit{
		{subject: "Move to the app router", author: "Jonas Falk", file: "app/layout.tsx"},
		{subject: "Show the household of each user", author: "Jonas Falk", file: "app/users/page.tsx"},
		{subject: "Sort invoices by due date", author: "Jonas Falk", file: "app/invoices/page.tsx"},
		{subject: "Ask before a user is deleted", author: "Jonas Falk", file: "app/users/page.tsx", noImage: true},
		{subject: "Serve the app at /", author: "Mei Lin", file: "next.config.ts"},
		{subject: "Translate the sign-in page", author: "Jonas Falk", file: "app/signin/page.tsx", ci: "none"},
	}},
	{"worker", []giteaCommit{
		{subject: "Take jobs from Redis with Asynq", author: "Tomás Reyes"},
		{subject: "Keep jobs that failed", author: "Tomás Reyes", file: "db/migrate/20260101_failed_jobs.rb"},
		{subject: "Retry welcome mails three times", author: "Tomás Reyes", ci: "failure"},
		{subject: "Stop taking jobs on SIGTERM", author: "Ana Duarte"},
		{subject: "Reconnect to Redis with a jittered backoff", author: "Ana Duarte"},
	}},
}

// pushHistory pushes a story's commits with git, the last one at end, and gives their SHAs.
func (g *gitea) pushHistory(ctx context.Context, token string, story giteaStory, end time.Time) ([]string, error) {
	dir, err := os.MkdirTemp(g.home.dir, "git-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := git(ctx, dir, token, "init", "--quiet", "--bare", "--initial-branch=main", "."); err != nil {
		return nil, err
	}
	files, shas := map[string]string{}, []string{}
	at := end.Add(-time.Duration(len(story.commits)*5) * time.Hour)
	parent := ""
	for i, c := range story.commits {
		at = at.Add(5 * time.Hour)
		name := c.file
		if name == "" {
			name = "main.go"
		}
		files[name] += fmt.Sprintf("%d: %s\n", i, c.subject)
		tree, err := writeTree(dir, files)
		if err != nil {
			return nil, err
		}
		if parent, err = writeCommit(dir, tree, parent, c, at); err != nil {
			return nil, err
		}
		shas = append(shas, parent)
	}
	if err := git(ctx, dir, token, "update-ref", "refs/heads/main", parent); err != nil {
		return nil, err
	}
	return shas, git(ctx, dir, token, "push", "--quiet", g.url()+"/"+giteaOwner+"/"+story.name+".git", "main")
}

// git runs git without the caller's configuration, with the token where no process list shows it.
func git(ctx context.Context, dir, token string, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	basic := base64.StdEncoding.EncodeToString([]byte(giteaCI + ":" + token))
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader",
		"GIT_CONFIG_VALUE_0=Authorization: Basic " + basic,
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", args[0], err, lastLines(string(out), 8))
	}
	return nil
}

// gitSum is the name git gives an object, and the object as git stores it.
func gitSum(kind string, content []byte) (sha string, whole []byte) {
	whole = append(fmt.Appendf(nil, "%s %d\x00", kind, len(content)), content...)
	sum := sha1.Sum(whole)
	return hex.EncodeToString(sum[:]), whole
}

// writeObject stores an object in a repository.
func writeObject(dir, kind string, content []byte) (string, error) {
	sha, whole := gitSum(kind, content)
	path := filepath.Join(dir, "objects", sha[:2], sha[2:])
	if _, err := os.Stat(path); err == nil {
		return sha, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, _ = z.Write(whole) // to memory: cannot fail
	_ = z.Close()
	return sha, os.WriteFile(path, packed.Bytes(), 0o400)
}

// writeTree stores files, given by their paths, and the folders they are in.
func writeTree(dir string, files map[string]string) (string, error) {
	type entry struct{ mode, name, sha string }
	var entries []entry
	folders := map[string]map[string]string{}
	for path, content := range files {
		if folder, rest, ok := strings.Cut(path, "/"); ok {
			if folders[folder] == nil {
				folders[folder] = map[string]string{}
			}
			folders[folder][rest] = content
			continue
		}
		sha, err := writeObject(dir, "blob", []byte(content))
		if err != nil {
			return "", err
		}
		entries = append(entries, entry{"100644", path, sha})
	}
	for folder, inside := range folders {
		sha, err := writeTree(dir, inside)
		if err != nil {
			return "", err
		}
		entries = append(entries, entry{"40000", folder, sha})
	}
	key := func(e entry) string { // git sorts a folder as if its name ended with a slash
		if e.mode == "40000" {
			return e.name + "/"
		}
		return e.name
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(key(a), key(b)) })
	var tree []byte
	for _, e := range entries {
		raw, err := hex.DecodeString(e.sha)
		if err != nil {
			return "", err
		}
		tree = append(fmt.Appendf(tree, "%s %s\x00", e.mode, e.name), raw...)
	}
	return writeObject(dir, "tree", tree)
}

// writeCommit stores a commit. For a prefix it tries build numbers until the SHA begins with it; three or four digits
// take a moment. The prefixes that mean something are kept from all others.
func writeCommit(dir, tree, parent string, c giteaCommit, at time.Time) (string, error) {
	person := fmt.Sprintf("%s <%s@acme.example> %d +0000", c.author, strings.ToLower(strings.Fields(c.author)[0]), at.Unix())
	for build := 1; ; build++ {
		text := "tree " + tree + "\n"
		if parent != "" {
			text += "parent " + parent + "\n"
		}
		text += fmt.Sprintf("author %s\ncommitter %s\n\n%s\n\nBuild: %d\n", person, person, c.subject, build)
		sha, _ := gitSum("commit", []byte(text))
		special := strings.HasPrefix(sha, "bad") || strings.HasPrefix(sha, "510")
		if strings.HasPrefix(sha, c.prefix) && special == (c.prefix != "") {
			return writeObject(dir, "commit", []byte(text))
		}
	}
}
