package deploys

import (
	"cmp"
	"context"
	"slices"
)

// nextDeploys is how many deploys after one are looked at for rollbacks of it that name another.
const nextDeploys = 20

// Answers lists what came of a deploy, oldest first: the deploys that go back by it or took its place, and the rollbacks
// from its image that name another deploy, as those do that go back further than to what ran before it. A deploy that
// brought the same image later has answers of its own.
func (s *Service) Answers(ctx context.Context, d Deploy) ([]Deploy, error) {
	out, err := list(ctx, s.db, `id IN (SELECT id FROM deploys WHERE rollback_of = ? UNION SELECT id FROM deploys WHERE replaces = ?) ORDER BY id LIMIT 100`, d.ID, d.ID)
	if err != nil {
		return nil, err
	}
	later, err := list(ctx, s.db, `app = ? AND env = ? AND id > ? ORDER BY id LIMIT ?`, d.Target.App, d.Target.Env, d.ID, nextDeploys)
	out = append(out, backFrom(d, later)...)
	slices.SortFunc(out, func(a, b Deploy) int { return cmp.Compare(a.ID, b.ID) })
	return out, err
}

// backFrom gives those of the deploys after d, oldest first, that roll its image back and do not name it.
func backFrom(d Deploy, later []Deploy) (out []Deploy) {
	for _, r := range later {
		switch {
		case r.To.Same(d.To):
			return out
		case r.Kind != KindRollback, r.Automatic(), r.RollbackOf == d.ID, r.Replaces == d.ID, !r.From.Same(d.To):
		default:
			out = append(out, r)
		}
	}
	return out
}

// TakesBack tells whether r, of the answers of d, rolls d back, rather than bringing back what it brought.
func (r Deploy) TakesBack(d Deploy) bool {
	return r.Kind == KindRollback && !(r.RollbackOf == d.ID && r.To.Same(d.To) && d.CanReturnTo())
}

// Holds tells whether a deploy has done what it was for, or is about to.
func (d Deploy) Holds() bool { return d.Active() || d.Status == Succeeded }
