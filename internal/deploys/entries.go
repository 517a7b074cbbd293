package deploys

import (
	"context"
	"errors"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// requestEntry is the entry that is written before anything else happens. That of an adoption tells all of it.
func requestEntry(d Deploy, req Request) audit.Entry {
	e := entryOf(d, req.Actor.Audit(), audit.DeployRequested, req.Actor.RequestID)
	switch d.Kind {
	case KindAdopt:
		e.Action, e.Outcome, e.Detail = audit.ChangeAdopted, "ok", d.Sentence
	case KindRestart:
		e.Detail = "A restart: the same image in new pods."
	}
	return e
}

// reject writes down that a deploy was refused.
func (s *Service) reject(ctx context.Context, req Request, cause error) error {
	d := Deploy{Target: req.Target, Kind: KindDeploy, Reason: req.Reason, To: Version{Tag: req.Image}}
	switch {
	case req.Return != nil:
		d.Kind, d.RollbackOf = KindRollback, req.Return.Deploy
	case req.Restart:
		d.Kind = KindRestart
	case req.Adopt != 0:
		d.Kind = KindAdopt
	}
	return s.refuse(ctx, req.Actor, entryOf(d, req.Actor.Audit(), audit.DeployRejected, req.Actor.RequestID), cause)
}

// refuse writes a refusal down as entry e and gives it back; if it cannot be written, that is the answer. Of nobody
// nothing is written: the door's rate limit has answered for them, or must.
func (s *Service) refuse(ctx context.Context, by auth.Actor, e audit.Entry, cause error) error {
	if by.ID == "" || errs.KindOf(cause) == errs.Internal && errors.Is(cause, context.Canceled) {
		return cause
	}
	e.Outcome, e.Detail = "refused", errs.Public(cause)
	err := s.db.Write(context.WithoutCancel(ctx), func(tx *sqlite.Tx) error {
		_, err := audit.Append(ctx, tx, e)
		return err
	})
	if err != nil {
		return errors.Join(errs.Wrap(err, errs.Unavailable, "The audit log cannot be written, so nothing is done. %s", errs.Public(err)), cause)
	}
	return cause
}

// entryOf is the audit entry of something that happened to a deploy.
func entryOf(d Deploy, actor audit.Actor, action, requestID string) audit.Entry {
	return audit.Entry{Actor: actor, Action: action, App: d.Target.App, Env: d.Target.Env, DeployID: d.ID, Subject: subjectOf(d),
		Repository: d.To.Repository, FromTag: d.From.Tag, FromDigest: d.From.Digest, ToTag: d.To.Tag, ToDigest: d.To.Digest,
		Reason: d.Reason, RequestID: requestID}
}

// subjectOf tells a rollback, a restart and an adoption from a deploy in the log.
func subjectOf(d Deploy) string {
	switch {
	case d.Automatic():
		return "automatic rollback"
	case d.Kind == KindRollback, d.Kind == KindRestart:
		return string(d.Kind)
	case d.Kind == KindAdopt:
		return "adoption"
	}
	return ""
}
