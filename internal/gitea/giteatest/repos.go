package giteatest

import (
	"fmt"
	"strings"
	"time"
)

// Commit is one commit of a repository of the fake.
type Commit struct {
	SHA     string // 40 lower-case hexadecimal digits
	Message string
	Author  string
	Email   string
	At      time.Time
	Parent  string // SHA; empty: the head of the default branch, which this commit then becomes
	Files   []File // that it touched
}

// File is a file that a commit touched.
type File struct {
	Path   string
	Status string // added, modified or removed
}

// Status is one commit status, as a CI reports it.
type Status struct {
	Context     string
	State       string // success, failure, error, warning, pending, skipped
	Description string
	TargetURL   string
}

// repo is one git repository.
type repo struct {
	owner, name string
	head        string
	commits     map[string]Commit
	order       []string // SHAs as they were added
	statuses    map[string][]Status
}

// addCommits makes the repository where there is none and appends commits, oldest first.
func (s *state) addCommits(owner, name string, commits []Commit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := owner + "/" + name
	r, ok := s.repos[key]
	if !ok {
		r = &repo{owner: owner, name: name, commits: map[string]Commit{}, statuses: map[string][]Status{}}
		s.repos[key] = r
	}
	for _, c := range commits {
		c.SHA = strings.ToLower(c.SHA)
		if len(c.SHA) != 40 || strings.Trim(c.SHA, "0123456789abcdef") != "" {
			panic(fmt.Sprintf("giteatest: commit SHA %q: want 40 hexadecimal digits", c.SHA))
		}
		if c.Parent == "" {
			c.Parent, r.head = r.head, c.SHA
		}
		r.commits[c.SHA] = c
		r.order = append(r.order, c.SHA)
	}
}

func (s *state) setStatus(key, sha string, st Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.repos[key]; ok {
		r.statuses[sha] = append(r.statuses[sha], st)
	}
}

// find resolves a branch (the default one has every name), a SHA or the start of one of at least 4 digits.
func (r *repo) find(ref string) (Commit, bool) {
	if ref == "" || ref == "main" {
		c, ok := r.commits[r.head]
		return c, ok
	}
	if len(ref) < 4 {
		return Commit{}, false
	}
	var found Commit
	n := 0
	for sha, c := range r.commits {
		if strings.HasPrefix(sha, strings.ToLower(ref)) {
			found, n = c, n+1
		}
	}
	return found, n == 1
}

// history walks from a commit to the root, leaving out what is in not.
func (r *repo) history(from string, not map[string]bool) []Commit {
	var all []Commit
	for sha := from; sha != "" && !not[sha]; {
		c, ok := r.commits[sha]
		if !ok {
			break
		}
		all = append(all, c)
		sha = c.Parent
	}
	return all
}

func (r *repo) ancestors(sha string) map[string]bool {
	set := map[string]bool{}
	for _, c := range r.history(sha, nil) {
		set[c.SHA] = true
	}
	return set
}

// withRepo runs f on a repository under the lock and tells whether there is one.
func (s *state) withRepo(key string, f func(*repo)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.repos[key]
	if ok {
		f(r)
	}
	return ok
}
