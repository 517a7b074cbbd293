package deploys

import (
	"context"
	"fmt"

	"deployportal/internal/audit"
	"deployportal/internal/sqlite"
)

// leftBehind finds what a restore leaves of the change that it undoes: it sets images and the mark of a restart, and other
// parts of the pod template stay as somebody has made them. That is still to be decided. nil where nothing is left.
func leftBehind(ctx context.Context, tx *sqlite.Tx, d Deploy, o outcome) (*OutsideChange, error) {
	if o.status != Succeeded || d.Kind != KindRollback || d.Automatic() || o.look.rollout == nil {
		return nil, nil
	}
	c, open, err := openChange(ctx, tx, d.Target)
	if err != nil || !open {
		return nil, err
	}
	_, good, ok, err := knownGood(ctx, tx, d.Target)
	now := runningVersion(appOf(d.Target, d.To), *o.look.rollout)
	now.Healthy = false
	if err != nil || !ok || !good.Leaves(now) {
		return nil, err
	}
	return &OutsideChange{Target: d.Target, Kind: ChangedTemplate, Manager: c.Manager, At: c.At, From: good, To: now}, nil
}

// recordLeft records, after the restore d has succeeded, what it has left: a change of its own, that asks again.
func (s *Service) recordLeft(ctx context.Context, tx *sqlite.Tx, d Deploy, c OutsideChange) error {
	who := ""
	if c.Manager != "" {
		who = " by " + c.Manager
	}
	said := append([]string{fmt.Sprintf("Deploy %d has set the images back. Other parts of the pod template stay as they were changed from outside%s: adopt that, or set it back by hand.", d.ID, who)},
		c.details(s.cluster.Differences(d.Target, c.From.Template, c.To.Template))...)
	entry, err := audit.Append(ctx, tx, c.entry(said))
	if err != nil {
		return err
	}
	c.Seq = entry.Seq
	return insertChange(ctx, tx, c, true)
}
