package deploys

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/auth"
	"deployportal/internal/errs"
	"deployportal/internal/foreign"
	"deployportal/internal/sqlite"
)

// BadImage says that an image, by its digest, was found not to work, and why. It is deployed again only with a reason.
// An image is the same wherever it runs, so the mark holds in every environment.
type BadImage struct {
	ID         int64 // the audit entry that recorded it
	Digest     string
	Repository string
	Tag        string
	Target     Target // where it was marked
	Reason     string
	ActorID    string
	ActorName  string
	At         time.Time
}

// Says is the mark in a sentence.
func (b BadImage) Says() string {
	return fmt.Sprintf("%s was marked as bad by %s at %s: “%s”.", Version{Tag: b.Tag, Digest: b.Digest}.Short(), b.ActorName, moment(b.At), b.Reason)
}

// BadImages lists the marked images, newest mark first, 500 at most.
func (s *Service) BadImages(ctx context.Context) ([]BadImage, error) {
	return badImages(ctx, s.db, `1 ORDER BY id DESC LIMIT 500`)
}

func badImages(ctx context.Context, q sqlite.Querier, where string, args ...any) (out []BadImage, err error) {
	err = sqlite.Each(ctx, q, func(rows *sql.Rows) error {
		var b BadImage
		var at sqlite.Time
		err := rows.Scan(&b.ID, &b.Digest, &b.Repository, &b.Tag, &b.Target.App, &b.Target.Env, &b.Reason, &b.ActorID, &b.ActorName, &at)
		b.At = at.Time
		out = append(out, b)
		return err
	}, `SELECT id, digest, repository, tag, app, env, reason, actor_id, actor_name, created_at FROM bad_images WHERE `+where+` -- deploys.badImages`, args...)
	if err != nil {
		return nil, errs.Wrap(fmt.Errorf("reading the marked images: %w", err), errs.Unavailable,
			"Whether the image is marked as bad cannot be read, so nothing is done. Try again; the portal's log has the reason.")
	}
	return out, nil
}

// markOf gives the mark of a version by the rule of Marks.Of; nil where there is none.
func markOf(ctx context.Context, q sqlite.Querier, v Version) (*BadImage, error) {
	marks, err := badImages(ctx, q, `digest = ? OR repository = ? AND tag = ? ORDER BY id`, v.Digest, v.Repository, v.Tag)
	return MarksOf(marks).Of(v), err
}

// heedMark refuses to bring an image that is marked as bad, unless it is said why.
func heedMark(ctx context.Context, tx *sqlite.Tx, req Request, to Version) error {
	mark, err := markOf(ctx, tx, to)
	if err != nil || mark == nil || strings.TrimSpace(req.Reason) != "" {
		return err
	}
	return errs.New(errs.Invalid, "%s Say why it is to run all the same, or take the mark off first.", mark.Says())
}

// putMark marks a version, whose digest is known, as bad inside tx, with its entry. A mark of the digest that stands is left
// as it is.
func putMark(ctx context.Context, tx *sqlite.Tx, t Target, v Version, why string, by auth.Actor) error {
	if marks, err := badImages(ctx, tx, `digest = ?`, v.Digest); err != nil || len(marks) > 0 {
		return err
	}
	why = foreign.Line(why, longestWhy)
	entry, err := audit.Append(ctx, tx, audit.Entry{Actor: by.Audit(), Action: audit.ImageMarkedBad, App: t.App, Env: t.Env,
		Repository: v.Repository, ToTag: v.Tag, ToDigest: v.Digest, Reason: why, Outcome: "ok", RequestID: by.RequestID})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO bad_images (id, digest, repository, tag, app, env, reason, actor_id, actor_name, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) -- deploys.putMark`, entry.Seq, v.Digest, v.Repository, v.Tag, t.App, t.Env, why, by.ID, by.Name, tx.Now)
	return err
}

// ClearImage takes a mark off. Errors: errs.Forbidden (to who may not deploy where it was marked), errs.NotFound,
// errs.Unavailable. A refusal is an audit entry.
func (s *Service) ClearImage(ctx context.Context, by auth.Actor, id int64) (BadImage, error) {
	var mark BadImage
	e := audit.Entry{Actor: by.Audit(), Action: audit.ImageCleared, RequestID: by.RequestID}
	err := s.db.Write(ctx, func(tx *sqlite.Tx) error {
		marks, err := badImages(ctx, tx, `id = ?`, id)
		if err != nil {
			return err
		}
		if len(marks) == 0 {
			return errs.New(errs.NotFound, "There is no mark %d: it was taken off. Nothing is left to do.", id)
		}
		mark = marks[0]
		e.App, e.Env = mark.Target.App, mark.Target.Env
		e.Repository, e.ToTag, e.ToDigest = mark.Repository, mark.Tag, mark.Digest
		if s.policy.Allow(by, auth.View, e.Env) != nil { // where it was marked is not for their eyes
			e.App, e.Env = "", ""
			return errs.New(errs.Forbidden, "%s may not take this mark off: only who may deploy where the image was marked. Ask an admin.", by.Name)
		}
		if err := s.policy.Allow(by, auth.Deploy, e.Env); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM bad_images WHERE id = ? -- deploys.ClearImage`, id); err != nil {
			return err
		}
		done := e
		done.Outcome, done.Detail = "ok", mark.Says()
		_, err = audit.Append(ctx, tx, done)
		return err
	})
	if err != nil {
		return BadImage{}, s.refuse(ctx, by, e, err)
	}
	s.hub.ring(0)
	return mark, nil
}
