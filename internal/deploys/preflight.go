package deploys

import (
	"context"
	"slices"
	"strings"

	"deployportal/internal/auth"
	"deployportal/internal/errs"
)

// preflight is step 4: it refuses what a check blocks, unless the request overrides each that does and its actor may. It
// tells what was overridden, for the entry. An adoption sends nothing, so nothing can be in its way.
func (s *Service) preflight(ctx context.Context, req Request, d Deploy, plan Plan) (overridden string, err error) {
	if s.checks == nil || d.Kind == KindAdopt {
		return "", nil
	}
	plan.Kind, plan.From, plan.To = d.Kind, d.From, d.To
	var names, said, passed []string
	for _, c := range s.checks.Checks(ctx, plan) {
		switch {
		case c.Finding != Block:
		case slices.Contains(req.Overrides, c.Name):
			passed = append(passed, c.Name+": "+c.Sentence)
		default:
			names, said = append(names, c.Name), append(said, strings.TrimSpace(c.Sentence+" "+c.Fix))
		}
	}
	switch {
	case len(names) > 0:
		return "", errs.New(errs.Conflict, "Blocked by preflight (%s): %s An admin can override that with a reason.", strings.Join(names, ", "), strings.Join(said, " "))
	case len(passed) == 0:
		return "", nil
	}
	if err := s.policy.Allow(req.Actor, auth.Override, req.Target.Env); err != nil {
		return "", err
	}
	if strings.TrimSpace(req.Reason) == "" {
		return "", errs.New(errs.Invalid, "A check is overridden only with a reason: say why it may be deployed all the same.")
	}
	return "Overridden checks: " + strings.Join(passed, " "), nil
}
