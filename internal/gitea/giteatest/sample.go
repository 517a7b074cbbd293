package giteatest

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"time"
)

// SampleOwner is the organisation of the sample data.
const SampleOwner = "acme"

// SampleApp is one app of the sample data: a git repository and an image of the same name.
type SampleApp struct {
	Name          string
	Git           string   // "acme/api", as deploys.App has it
	Image         string   // "acme/api", to be put behind the registry's host
	Commits       []Commit // oldest first
	Tags          []string // newest push first; each is a full commit SHA
	RunningTag    string   // what is deployed: a few versions behind the newest
	RunningDigest string
	FailingTag    string // crashes when it is deployed; empty when the app has none
	SlowTag       string // takes long to start; empty when the app has none
}

// Pinned is the image string of a tag behind a registry host, with its digest.
func (a SampleApp) Pinned(s *Server, host, tag string) string {
	v, _ := s.state.manifest(a.Image, tag)
	return host + "/" + a.Image + ":" + tag + "@" + v.digest
}

// sampleCommit is one line of an app's story.
type sampleCommit struct {
	subject string
	author  int    // index into samplePeople
	hours   int    // since the commit before
	prefix  string // the SHA begins with it
	noImage bool   // its build was never pushed
	file    string // a migration that it adds
}

var samplePeople = []struct{ name, email string }{
	{"Ana Duarte", "ana@acme.example"},
	{"Tomás Reyes", "tomas@acme.example"},
	{"Mei Lin", "mei@acme.example"},
	{"Jonas Falk", "jonas@acme.example"},
}

// The prefixes bad0 and 510 are what the simulated nodes of the demo act on: a crash and a slow start.
var sampleStory = map[string][]sampleCommit{
	"api": {
		{subject: "Build with Go 1.25, as go.mod asks for", author: 0, hours: 0},
		{subject: "Build images for linux/amd64 from any machine", author: 0, hours: 3},
		{subject: "Push images under their commit only, never latest", author: 1, hours: 5},
		{subject: "Use the exact case of the database name", author: 1, hours: 20},
		{subject: "Refer to secrets by their alias in the stack file", author: 0, hours: 4, noImage: true},
		{subject: "Report build and schema version on /api/health", author: 2, hours: 22},
		{subject: "Relax CSP for the landing page", author: 3, hours: 5},
		{subject: "Allow fonts.googleapis.com in the style sources", author: 3, hours: 1},
		{subject: "Serialize migrations across replicas", author: 0, hours: 19, prefix: "510", file: "migrations/0011_migration_lock.sql"},
		{subject: "Log how long a replica waits for the migration lock", author: 0, hours: 2},
		{subject: "Return 503 from /api/health while migrations run", author: 2, hours: 4},
		{subject: "Add an index on tasks by household and due date", author: 1, hours: 18, file: "migrations/0012_tasks_due.sql"},
		{subject: "Reset the cache once when Redis is away", author: 2, hours: 3, prefix: "bad0"},
		{subject: "Page the residences list", author: 3, hours: 2},
	},
	"admin": {
		{subject: "Move to the app router", author: 3, hours: 0},
		{subject: "Show the household of each user", author: 3, hours: 6},
		{subject: "Read the API's address at start, not at build", author: 2, hours: 17},
		{subject: "Sort invoices by due date", author: 3, hours: 4},
		{subject: "Keep filters in the address", author: 2, hours: 3},
		{subject: "Ask before a user is deleted", author: 3, hours: 21, noImage: true},
		{subject: "Serve the app at /", author: 2, hours: 5},
		{subject: "Wait 120 s for a cold start", author: 2, hours: 1},
		{subject: "Show failed jobs on the front page", author: 3, hours: 20},
		{subject: "Export users as CSV", author: 1, hours: 5},
		{subject: "Translate the sign-in page", author: 3, hours: 18},
		{subject: "Fix the colours of the dark theme", author: 3, hours: 2},
	},
	"worker": {
		{subject: "Take jobs from Redis with Asynq", author: 1, hours: 0},
		{subject: "Send the daily digest at 08:00 in the user's zone", author: 1, hours: 8},
		{subject: "Run one replica: the scheduler must be alone", author: 0, hours: 15},
		{subject: "Retry welcome mails three times", author: 1, hours: 5},
		{subject: "Never send a welcome mail twice", author: 1, hours: 3},
		{subject: "Upload exports to object storage", author: 2, hours: 21},
		{subject: "Stop taking jobs on SIGTERM", author: 0, hours: 4},
		{subject: "Give running jobs 25 s to end", author: 0, hours: 1},
		{subject: "Count jobs by queue and outcome", author: 2, hours: 19},
		{subject: "Drop jobs of deleted households", author: 1, hours: 6},
		{subject: "Log the job id with every line", author: 2, hours: 17},
		{subject: "Limit the digest to 50 tasks", author: 1, hours: 4},
		{subject: "Reconnect to Redis with a jittered backoff", author: 0, hours: 3},
	},
}

// sampleBehind is how many images are newer than the one each app runs.
var sampleBehind = map[string]int{"api": 4, "admin": 3, "worker": 2}

// Sample loads the sample data: the repositories and multi-platform images of api, admin and worker, the newest of
// them pushed shortly before now. It returns the apps in that order. Equal input makes equal data.
func Sample(s *Server, now time.Time) []SampleApp {
	var apps []SampleApp
	for _, name := range []string{"api", "admin", "worker"} {
		apps = append(apps, sampleApp(s, name, now))
	}
	return apps
}

func sampleApp(s *Server, name string, now time.Time) SampleApp {
	story := sampleStory[name]
	total := 0
	for _, c := range story {
		total += c.hours
	}
	at := now.Add(-time.Duration(total)*time.Hour - 40*time.Minute).Truncate(time.Second)
	app := SampleApp{Name: name, Git: SampleOwner + "/" + name, Image: SampleOwner + "/" + name}
	for i, c := range story {
		at = at.Add(time.Duration(c.hours) * time.Hour)
		who := samplePeople[c.author]
		commit := Commit{
			SHA: sampleSHA(name, i, c.prefix), Message: c.subject + "\n", Author: who.name, Email: who.email,
			At: at.Add(time.Duration(i*7%60) * time.Minute / 2),
		}
		if c.file != "" {
			commit.Files = []File{{Path: c.file, Status: "added"}}
		}
		app.Commits = append(app.Commits, commit)
		if c.noImage {
			continue
		}
		image := MultiArch()
		image.At = commit.At.Add(6 * time.Minute)
		image.Labels = map[string]string{"org.opencontainers.image.revision": commit.SHA}
		s.PushImage(app.Image, commit.SHA, image)
		app.Tags = append([]string{commit.SHA}, app.Tags...)
		switch c.prefix {
		case "bad0":
			app.FailingTag = commit.SHA
		case "510":
			app.SlowTag = commit.SHA
		}
	}
	s.AddRepo(SampleOwner, name, app.Commits...)
	for i, c := range app.Commits {
		state := "success"
		if i == 4 && name == "worker" {
			state = "failure"
		}
		s.SetStatus(app.Git, c.SHA, Status{Context: "ci/test", State: state})
	}
	app.RunningTag = app.Tags[sampleBehind[name]]
	v, _ := s.state.manifest(app.Image, app.RunningTag)
	app.RunningDigest = v.digest
	return app
}

// sampleSHA makes a commit's SHA. The prefixes that mean something to the simulation are kept from all others.
func sampleSHA(name string, i int, prefix string) string {
	sum := sha1.Sum(fmt.Appendf(nil, "acme/%s#%d", name, i))
	sha := hex.EncodeToString(sum[:])
	if prefix != "" {
		return prefix + sha[len(prefix):]
	}
	return "c" + sha[1:]
}
