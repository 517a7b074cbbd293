package deploys

import (
	"context"
	"fmt"

	"deployportal/internal/errs"
)

// askPull crosses a failed pull with the registry: is what the node asks for there, what does the tag name, for which platforms.
func (r *run) askPull(ctx context.Context) PullFact {
	to := r.d.To
	ref := to.Pulled()
	if ref == "" {
		return PullFact{}
	}
	img, err := r.s.registry.Resolve(ctx, to.Repository, ref)
	switch errs.KindOf(err) {
	case errs.NotFound:
		f := PullFact{Asked: true, Sentence: errs.Public(err)}
		if to.Tag == "" || to.Tag == ref {
			return f
		}
		now, err := r.s.registry.Resolve(ctx, to.Repository, to.Tag)
		if err == nil && now.Digest != to.Digest {
			f.Moved = now.Digest
		} else if errs.KindOf(err) == errs.NotFound {
			f.Sentence = errs.Public(err) // names the tag, which people know
		}
		return f
	case errs.Forbidden:
		return PullFact{Asked: true, Refused: true, Sentence: errs.Public(err)}
	}
	if err != nil {
		return PullFact{}
	}
	f := PullFact{Asked: true}
	for _, m := range img.Manifests {
		f.Platforms = append(f.Platforms, m.Platform)
	}
	return f
}

// logWanted is a log that would tell why a container ended.
type logWanted struct {
	question       string
	key            string // of Facts.Logs
	pod, container string
	previous       bool
}

// logsWanted lists the logs of target containers that have ended since the rollout began, or that their startup probe kills.
func (b Basis) logsWanted(r Rollout) (out []logWanted) {
	for _, p := range r.podsOf(b.Template) {
		for _, c := range p.Containers {
			killed := c.Startup != nil && c.Startup.Kills > 0 && !c.Startup.LastKill.Before(b.T0)
			if !c.Ready && (b.ended(c) || killed) {
				out = append(out, b.logOf(p, c))
			}
		}
	}
	return out
}

func (b Basis) ended(c Container) bool {
	return c.Last != nil && !c.Last.Finished.Before(b.T0) && !(c.Init && c.Last.Code == 0)
}

// logOf is the log of a container that tells most. While it is down, its own log is the ended one's; once it runs again, that
// is the previous one's.
func (b Basis) logOf(p Pod, c Container) logWanted {
	return logWanted{question: fmt.Sprintf("log of %s/%s after %d", p.UID, c.Name, c.Restarts), key: p.UID + "/" + c.Name,
		pod: p.Name, container: c.Name, previous: c.State == "running" && b.ended(c)}
}

// logBehind gives the log of the container that a cause is about, if that has ever run.
func (b Basis) logBehind(c Cause, r Rollout) (w logWanted, ok bool) {
	for _, p := range r.podsOf(b.Template) {
		for _, container := range p.Containers {
			if p.Name == c.Pod && container.Name == c.Container && (container.State != "waiting" || container.Last != nil) {
				return b.logOf(p, container), true
			}
		}
	}
	return w, false
}

func (r *run) askLog(ctx context.Context, w logWanted) func(*Facts) {
	lines, err := r.s.cluster.Logs(ctx, r.d.Target, w.pod, w.container, w.previous)
	if err != nil || len(lines) == 0 {
		return func(*Facts) {}
	}
	return func(f *Facts) { f.Logs[w.key] = lines }
}

// readLogs makes sure that a failure is told with the log of its container, and tells whether it learned something.
func (r *run) readLogs(seen Rollout, c *Cause) bool {
	if c == nil {
		return false
	}
	wanted, ok := r.basis().logBehind(*c, seen)
	if !ok || len(r.known.Logs[wanted.key]) > 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(r.ctx, lookupTimeout)
	defer cancel()
	r.askLog(ctx, wanted)(&r.known)
	return len(r.known.Logs[wanted.key]) > 0
}

// complete adds to a cause what is not alike in the pod templates of this deploy and the last good one: a crash often
// comes from there and not from the image.
func (r *run) complete(c *Cause) *Cause {
	if c == nil || c.Container == "" {
		return c
	}
	before := r.d.From.Template
	if !r.d.From.Healthy {
		good, found, err := get(r.ctx, r.s.db, `app = ? AND env = ? AND status = 'succeeded' AND id < ? ORDER BY id DESC LIMIT 1`,
			r.d.Target.App, r.d.Target.Env, r.d.ID)
		if err != nil || !found {
			return c
		}
		before = good.Template
	}
	for _, d := range r.s.cluster.Differences(r.d.Target, before, r.d.Template) {
		c.Evidence = append(c.Evidence, Evidence{Kind: FromTemplate, Text: d})
	}
	return c
}
