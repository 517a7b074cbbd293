package deploys

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"deployportal/internal/sqlite"
)

// Past reads what the records tell beside the path of a deploy: of tags, of starts, and of images that ran well. It is
// safe for concurrent use. Its errors are the database's.
type Past struct{ db *sqlite.DB }

// NewPast reads a database that is migrated.
func NewPast(db *sqlite.DB) *Past { return &Past{db} }

// FirstSeen is what a tag named when somebody first deployed it. The zero value: nobody has.
type FirstSeen struct {
	Digest string
	At     time.Time
}

// FirstSeen gives what a tag of a repository named when somebody first deployed it.
func (p *Past) FirstSeen(ctx context.Context, repository, tag string) (first FirstSeen, err error) {
	var at sqlite.Time
	row := p.db.QueryRow(ctx, `SELECT digest, seen_at FROM tags_seen WHERE repository = ? AND tag = ? -- deploys.FirstSeen`, repository, tag)
	if _, err = sqlite.Row(row.Scan(&first.Digest, &at)); err != nil {
		return FirstSeen{}, fmt.Errorf("reading what %s named first: %w", tag, err)
	}
	first.At = at.Time
	return first, nil
}

// seeTag notes what the tag of a deploy names, unless it was noted before.
func seeTag(ctx context.Context, tx *sqlite.Tx, d Deploy) error {
	if d.Kind != KindDeploy || d.To.Tag == "" || d.To.Digest == "" {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO tags_seen (repository, tag, digest, seen_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (repository, tag) DO NOTHING -- deploys.seeTag`, d.To.Repository, d.To.Tag, d.To.Digest, tx.Now)
	return err
}

// Starts is how long starts took in the last ten good deploys of a target, each list shortest first.
type Starts struct {
	Pods       []time.Duration            // from a pod's creation to ready
	Containers map[string][]time.Duration // from a container's start to its pod being ready, without those that were restarted
}

// Starts gives how long starts of a target took.
func (p *Past) Starts(ctx context.Context, t Target) (Starts, error) { return starts(ctx, p.db, t) }

func starts(ctx context.Context, q sqlite.Querier, t Target) (Starts, error) {
	s := Starts{Containers: map[string][]time.Duration{}}
	good, err := list(ctx, q, `app = ? AND env = ? AND status = 'succeeded' AND rollout IS NOT NULL ORDER BY id DESC LIMIT 10`, t.App, t.Env)
	for _, d := range good {
		for _, p := range d.Rollout.podsOf(d.Template) {
			if !p.Created.After(d.Started.Add(-clockLeeway)) || !p.Ready {
				continue
			}
			s.Pods = append(s.Pods, p.ReadySince.Sub(p.Created))
			for _, c := range p.Containers {
				if !c.Init && c.Restarts == 0 && !c.Since.IsZero() {
					s.Containers[c.Name] = append(s.Containers[c.Name], max(0, p.ReadySince.Sub(c.Since)))
				}
			}
		}
	}
	slices.Sort(s.Pods)
	for _, took := range s.Containers {
		slices.Sort(took)
	}
	return s, err
}

// usualStart is the longest that each container took from its start to its pod being ready in the last ten good deploys of a
// target: what a startup probe must allow. That a pod waited for a node or an image before is not part of it.
func (s *Service) usualStart(ctx context.Context, t Target) (map[string]time.Duration, error) {
	seen, err := starts(ctx, s.db, t)
	if err != nil {
		return nil, err
	}
	usual := map[string]time.Duration{}
	for name, took := range seen.Containers {
		usual[name] = took[len(took)-1]
	}
	return usual, nil
}

// Good lists up to n different images that ran well in a target, the newest first, without those marked as bad and
// without the image of skip.
func (p *Past) Good(ctx context.Context, t Target, n int, skip Version) ([]Version, error) {
	marks, err := badImages(ctx, p.db, `1`)
	if err != nil {
		return nil, err
	}
	past, err := trials(ctx, p.db, t, 0, farBack)
	if err != nil {
		return nil, err
	}
	var good []Version
	add := func(v Version, ok bool) {
		known := func(o Version) bool { return alike(o, v) }
		if ok && len(good) < n && !known(skip) && !slices.ContainsFunc(good, known) && !marked(marks, v) {
			good = append(good, v)
		}
	}
	for _, d := range past {
		add(d.To, d.CanReturnTo())
		add(d.From, d.CanReturnBefore())
	}
	return good, nil
}

// Kept is an image that must stay in the registry, and why.
type Kept struct {
	Target     Target
	Repository string
	Tag        string
	Digest     string
	Why        string // "runs", "is being deployed", "ran well"
}

// Keep lists what every target runs, is about to run, or may be rolled back to: of the latter the newest n. It tells what
// the records know; who asks them needs no cluster.
func (p *Past) Keep(ctx context.Context, n int) ([]Kept, error) {
	targets, err := p.targets(ctx)
	if err != nil {
		return nil, err
	}
	seen, err := sightings(ctx, p.db)
	if err != nil {
		return nil, err
	}
	open, err := list(ctx, p.db, `finished_at IS NULL`)
	if err != nil {
		return nil, err
	}
	var out []Kept
	for _, t := range targets {
		add := func(v Version, why string) {
			here := func(k Kept) bool { return k.Target == t && k.Tag == v.Tag && k.Digest == v.Digest }
			if v.Repository != "" && v.Tag+v.Digest != "" && !slices.ContainsFunc(out, here) {
				out = append(out, Kept{t, v.Repository, v.Tag, v.Digest, why})
			}
		}
		now := seen[t].version
		for _, d := range open {
			if d.Target == t {
				add(d.To, "is being deployed")
				add(d.From, "ran well")
			}
		}
		add(now, "runs")
		good, err := p.Good(ctx, t, n, now)
		if err != nil {
			return nil, err
		}
		for _, v := range good {
			add(v, "ran well")
		}
	}
	return out, nil
}

// targets lists every target that the records know, by environment and app.
func (p *Past) targets(ctx context.Context) (out []Target, err error) {
	err = sqlite.Each(ctx, p.db, func(rows *sql.Rows) error {
		var t Target
		err := rows.Scan(&t.App, &t.Env)
		out = append(out, t)
		return err
	}, `SELECT app, env FROM deploys UNION SELECT app, env FROM sightings -- deploys.targets`)
	slices.SortFunc(out, func(a, b Target) int { return cmp.Or(cmp.Compare(a.Env, b.Env), cmp.Compare(a.App, b.App)) })
	return out, err
}
