package deploys

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"deployportal/internal/sqlite"
)

// sighting is what a target was when it was last looked at, or as our last patch left it.
type sighting struct {
	uid        string // of the Deployment; empty: it is gone
	generation int64
	template   string
	author     Author
	version    Version // Healthy: its pods have been, since the template was set
}

// Author is the newest write into a pod template that the API server has taken down. What only removes something leaves
// the one before it standing.
type Author struct {
	Manager string // the field manager
	At      time.Time
}

// Author is who last wrote into the template, as far as Kubernetes keeps it.
func (r Rollout) Author() Author { return Author{r.ChangedBy, r.ChangedAt} }

func (a Author) same(o Author) bool { return a.Manager == o.Manager && a.At.Equal(o.At) }

// since is who made the template another one than it was when left was its newest write. The zero Author: nobody knows,
// for what was done has left no write of its own. It is never the portal: that knows what it has sent.
func (a Author) since(left Author) Author {
	if a.Manager == FieldManager || a.same(left) || a.At.Before(left.At) {
		return Author{}
	}
	return a
}

// String reads "kubectl-set at 14:02:11 UTC", or "somebody".
func (a Author) String() string {
	if a.Manager == "" {
		return "somebody"
	}
	return a.Manager + at(a.At)
}

// uidOf is the UID of what a view shows; empty when that is nothing.
func uidOf(r Rollout) string {
	if !r.Exists {
		return ""
	}
	return r.UID
}

// stale tells whether a view says something that is not known, be it only that a new image is healthy by now.
func (was sighting) stale(found bool, r Rollout) bool {
	if !found || was.uid != uidOf(r) {
		return r.Exists || was.uid != ""
	}
	return r.Exists && (r.Generation != was.generation || r.Template != was.template ||
		!was.author.same(r.Author()) || !was.version.Healthy && HealthOf(r) == Healthy)
}

// doubtful tells whether a view may be older than what is known: a Deployment that is gone or another one, and one whose
// generation is lower. The caches may be behind what a deploy of ours has just read from the API server.
func (was sighting) doubtful(r Rollout) bool {
	return was.uid != "" && (was.uid != uidOf(r) || r.Generation < was.generation)
}

// change is what a view says has happened since; without a kind nothing has. A higher generation alone says nothing:
// scaling bumps it too. A lower one is a cache that is behind, unless the API server says so itself (sure): then the
// cluster was brought back from a backup. Another template of the same generation is none, but read by another version
// of Kubernetes.
func (was sighting) change(app App, r Rollout, sure bool) OutsideChange {
	by := r.Author().since(was.author)
	if r.UID != was.uid {
		by = r.Author().since(Author{})
	}
	c := OutsideChange{Target: app.Target, Manager: by.Manager, At: by.At, From: was.version}
	if r.Exists {
		c.To = runningVersion(app, r)
		c.To.Healthy = false // the pods that are there may be those of before
	}
	behind := r.Generation == was.generation || r.Generation < was.generation && !sure
	switch {
	case !r.Exists && was.uid != "":
		c.Kind = ChangedGone
	case !r.Exists, r.UID == was.uid && (behind || r.Template == was.template):
	case r.UID != was.uid:
		c.Kind = ChangedAnew
	case r.Bare == was.version.Bare:
		c.Kind = ChangedRestart
	case len(c.imagesSet()) > 0:
		c.Kind = ChangedImage
	default:
		c.Kind = ChangedTemplate
	}
	return c
}

// imagesSet names the containers that a deploy sets whose image is another one now.
func (c OutsideChange) imagesSet() (names []string) {
	was := c.From.allImages() // what the app is configured to be may have changed meanwhile
	for _, name := range slices.Sorted(maps.Keys(c.To.Images)) {
		if image, known := was[name]; known && image != c.To.Images[name] {
			names = append(names, name)
		}
	}
	return names
}

// next is what is known after a view.
func (was sighting) next(app App, r Rollout, sure bool) sighting {
	switch {
	case !r.Exists:
		was.uid, was.generation = "", 0 // what it ran last stays known
		return was
	case was.uid == r.UID && r.Generation < was.generation && !sure:
		return was
	}
	now := runningVersion(app, r)
	if was.uid == r.UID && was.template == r.Template { // known from a deploy, perhaps, with more than a view tells
		healthy := was.version.Healthy || now.Healthy
		if was.version.Digest != "" {
			now = was.version.in(r)
		}
		now.Healthy = healthy
	}
	return sighting{uid: r.UID, generation: r.Generation, template: r.Template, author: r.Author(), version: now}
}

// in is v with what a view tells of the template that it is part of.
func (v Version) in(r Rollout) Version {
	v.Template, v.Bare, v.Frame, v.Restarted = r.Template, r.Bare, r.Frame, r.Restarted
	v.Others = map[string]string{}
	for name, image := range r.Images {
		if _, ours := v.Images[name]; !ours {
			v.Others[name] = image
		}
	}
	return v
}

// templated tells whether both were part of the same pod template, the mark of a restart aside.
func (v Version) templated(o Version) bool {
	return v.Bare != "" && v.Bare == o.Bare || v.Template != "" && v.Template == o.Template
}

// Leaves tells whether bringing v back, where now runs, leaves other parts of the pod template than v ran with: a deploy
// sets images and the mark of a restart. False where it is not known what v ran with.
func (v Version) Leaves(now Version) bool {
	return v.Frame != "" && now.Frame != "" && (v.Frame != now.Frame || !maps.Equal(v.Others, now.Others))
}

// put stores what is known of a target.
func (was sighting) put(ctx context.Context, tx *sqlite.Tx, t Target) error {
	version, err := json.Marshal(was.version)
	if err != nil {
		return fmt.Errorf("json.Marshal(version): %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO sightings (app, env, uid, generation, template, bare, manager, written_at, version)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (app, env) DO UPDATE SET uid = excluded.uid, generation = excluded.generation, template = excluded.template,
			bare = excluded.bare, manager = excluded.manager, written_at = excluded.written_at, version = excluded.version -- deploys.sighting.put`,
		t.App, t.Env, was.uid, was.generation, was.template, was.version.Bare, was.author.Manager, sqlite.Time{Time: was.author.At}, string(version))
	if err != nil {
		return fmt.Errorf("storing what is known of %s: %w", t, err)
	}
	return nil
}

// sightings gives what is known of all targets.
func sightings(ctx context.Context, q sqlite.Querier) (map[Target]sighting, error) {
	return readSightings(ctx, q, `ORDER BY env, app`)
}

func sightingOf(ctx context.Context, q sqlite.Querier, t Target) (was sighting, found bool, err error) {
	all, err := readSightings(ctx, q, `WHERE app = ? AND env = ?`, t.App, t.Env)
	was, found = all[t]
	return was, found, err
}

func readSightings(ctx context.Context, q sqlite.Querier, where string, args ...any) (map[Target]sighting, error) {
	out := map[Target]sighting{}
	err := sqlite.Each(ctx, q, func(rows *sql.Rows) error {
		var t Target
		var s sighting
		var bare, version string
		var written sqlite.Time
		if err := rows.Scan(&t.App, &t.Env, &s.uid, &s.generation, &s.template, &bare, &s.author.Manager, &written, &version); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(version), &s.version); err != nil {
			return fmt.Errorf("what is known of %s: %w", t, err)
		}
		s.author.At, s.version.Bare = written.Time, bare
		out[t] = s
		return nil
	}, `SELECT app, env, uid, generation, template, bare, manager, written_at, version FROM sightings `+where+` -- deploys.sightings`, args...)
	if err != nil {
		return nil, fmt.Errorf("reading what is known of the targets: %w", err)
	}
	return out, nil
}
