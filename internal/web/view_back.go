package web

import (
	"context"
	"fmt"
	"strings"
	"time"

	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// behind is what a confirm page tells besides of marks and locks, and of what a rollback brings back.
type behind struct {
	mark     *deploys.BadImage // of the image to come
	why      string            // why what runs is bad, as the deploy that brought it tells; empty: it does not
	from, to time.Time         // when what comes back ran
	kept     *deploys.ReplicaSet
	stays    []string // parts of the pod template that are not as they were when what comes back ran, and stay so
}

// lookBehind fills that in. It may run beside compare, which fills in other parts.
func (s *Server) lookBehind(ctx context.Context, o *offer) error {
	t := &o.target
	if o.mark = t.Marks.Of(o.to); o.back == nil {
		return nil
	}
	if o.to.Leaves(t.Running) {
		if o.stays = s.Cluster.Differences(t.App.Target, o.to.Template, t.Running.Template); len(o.stays) == 0 {
			o.stays = []string{goneTemplate}
		}
	}
	var err error
	if o.why, err = s.Deploys.WhyBad(ctx, t.App.Target, t.Running); err != nil {
		return err
	}
	if o.from, o.behind.to, err = s.Deploys.RanWell(ctx, t.App.Target, *o.back); err != nil {
		return err
	}
	if t.Rollout == nil {
		return nil
	}
	if name, ok := s.Cluster.Reused(t.App.Target, o.to); ok {
		for _, rs := range t.Rollout.ReplicaSets {
			if rs.Name == name {
				o.kept = &rs
			}
		}
	}
	return nil
}

// behindView puts it on the page.
func behindView(p *templates.ConfirmProps, o offer, w wish, now time.Time) {
	t := o.target
	p.FromBad = badView(t.Marks.Of(t.Running))
	p.NeedReason = o.mark != nil || o.back != nil && len(t.Locks) > 0
	if o.back == nil {
		return
	}
	p.Ran = ranWords(o.from, o.behind.to, now)
	if t.Running.Digest != "" && !o.to.Same(t.Running) {
		p.Bad, p.BadWhy = t.Running.Short(), o.why
	}
	p.MarkBad, p.LockTarget = w.markBad, w.lockTarget
	if w.refused == nil {
		p.MarkBad = o.why != ""
	}
}

// ranWords says when something ran, and how long.
func ranWords(from, to, now time.Time) string {
	switch {
	case from.IsZero() && to.IsZero():
		return ""
	case from.IsZero():
		return "ran well until " + templates.UTCShort(to, now) + "; since when, the portal does not know"
	case to.IsZero():
		return "runs well since " + templates.UTCShort(from, now)
	}
	return fmt.Sprintf("ran well for %s, %s to %s", templates.Dur(to.Sub(from)), templates.UTCShort(from, now), templates.UTCShort(to, now))
}

// behindChecks says what locks, marks and cluster say of an offer; the first of them block.
func behindChecks(o offer) (blocks, rest []templates.Check) {
	t := o.target
	check := func(tone templates.Tone, word, sentence, fix string) templates.Check {
		return templates.Check{Mark: templates.Mark{Tone: tone, Word: word}, Sentence: sentence, Fix: fix}
	}
	for _, l := range t.Locks {
		if o.back == nil {
			blocks = append(blocks, check(templates.Bad, "Locked", l.Says()+" "+l.Keeps(t.App.Target), l.OwnerName+" or an admin can unlock it, on the page of locks."))
		} else {
			rest = append(rest, check(templates.Unknown, "Locked", l.Says(), "A rollback passes the lock: say why."))
		}
	}
	if o.mark != nil {
		rest = append(rest, check(templates.Bad, "Marked", o.mark.Says(), "Say why it is to run all the same."))
	}
	if o.back == nil {
		return blocks, rest
	}
	if len(o.stays) > 0 {
		rest = append(rest, check(templates.Busy, "Stays", "Only images are set back. The pod template is not as it was when "+o.to.Short()+" ran, and stays as it is now: "+
			strings.Join(o.stays, "; ")+".", "Set these back where they were changed, or adopt them afterwards."))
	}
	short := o.to.Short()
	switch {
	case t.Rollout != nil && !t.Rollout.Exists: // which is told, and blocks
	case t.Trouble != nil || t.Rollout == nil:
		rest = append(rest, check(templates.Unknown, "Not known", "Whether pods of "+short+" are kept is not known: the cluster is not seen.", ""))
	case o.kept == nil:
		rest = append(rest, check(templates.Unknown, "Starts anew", "All pods start anew: none of "+short+" with the pod template of now is kept.", ""))
	case o.kept.Ready > 0:
		rest = append(rest, check(templates.OK, "Passes", fmt.Sprintf("Still ready and kept: %s of %s. ReplicaSet %s is used again.", plural(int(o.kept.Ready), "pod"), short, o.kept.Name), ""))
	default:
		rest = append(rest, check(templates.OK, "Passes", fmt.Sprintf("ReplicaSet %s is used again; its pods start anew.", o.kept.Name), ""))
	}
	return blocks, rest
}
