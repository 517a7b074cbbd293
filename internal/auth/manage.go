package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"deployportal/internal/audit"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// Add adds an account. errs.Invalid for a name, password or grants that cannot be; errs.Conflict when the name is
// taken; errs.Forbidden when by may not manage accounts.
func (a *Accounts) Add(ctx context.Context, by Actor, name, password string, grants []Grant) (Account, error) {
	if err := a.allow(ctx, by, audit.UserAdded, name); err != nil {
		return Account{}, err
	}
	name, err := CheckName(name)
	if err != nil {
		return Account{}, err
	}
	if grants, err = checkGrants(grants); err != nil {
		return Account{}, err
	}
	hash, err := a.hash(ctx, password)
	if err != nil {
		return Account{}, err
	}
	acct := Account{Name: name, Grants: grants}
	err = a.change(ctx, by, audit.UserAdded, name, func(tx *sqlite.Tx) (string, bool, error) {
		acct.Created = tx.Now.Time
		res, err := tx.Exec(ctx, `INSERT INTO accounts (name, password_hash, created_at) VALUES (?, ?, ?) -- auth.Add`, name, hash, tx.Now)
		if errors.Is(err, sqlite.ErrUnique) {
			return "", false, errs.Wrap(err, errs.Conflict, "There is already an account %s.", name)
		}
		if err != nil {
			return "", false, fmt.Errorf("adding an account: %w", err)
		}
		if acct.ID, err = res.LastInsertId(); err != nil {
			return "", false, fmt.Errorf("LastInsertId: %w", err)
		}
		return describe(grants), true, setGrants(ctx, tx, acct.ID, grants)
	})
	if err != nil {
		return Account{}, err
	}
	return acct, nil
}

// SetGrants replaces what an account may do; open sessions see it at their next request or Check. errs.Invalid,
// errs.NotFound, errs.Forbidden; errs.Conflict when nobody could manage accounts any more.
func (a *Accounts) SetGrants(ctx context.Context, by Actor, name string, grants []Grant) error {
	if err := a.allow(ctx, by, audit.UserRole, name); err != nil {
		return err
	}
	grants, err := checkGrants(grants)
	if err != nil {
		return err
	}
	return a.changeAccount(ctx, by, audit.UserRole, name, func(tx *sqlite.Tx, s stored) (string, bool, error) {
		if slices.Equal(s.Grants, grants) {
			return "", false, nil
		}
		if err := setGrants(ctx, tx, s.ID, grants); err != nil {
			return "", false, err
		}
		return fmt.Sprintf("From %s to %s.", describe(s.Grants), describe(grants)), true, nil
	})
}

// SetPassword gives an account a new password, ends all its sessions and its link to Slack, and forgets its failed sign-ins, so that it is
// also the way out of a lock. errs.Invalid, errs.NotFound, errs.Forbidden.
func (a *Accounts) SetPassword(ctx context.Context, by Actor, name, password string) error {
	if err := a.allow(ctx, by, audit.UserPassword, name); err != nil {
		return err
	}
	hash, err := a.hash(ctx, password)
	if err != nil {
		return err
	}
	return a.changeAccount(ctx, by, audit.UserPassword, name, func(tx *sqlite.Tx, s stored) (string, bool, error) {
		told, err := replacePassword(ctx, tx, s.ID, hash)
		if err != nil {
			return "", false, err
		}
		for _, purpose := range []string{forSignIn, forChange} {
			if err := forget(ctx, tx, a.nameKey(purpose, s.Name)); err != nil {
				return "", false, err
			}
		}
		return "Set by another. " + told, true, nil
	})
}

// Disable refuses an account every sign-in from now on and ends its sessions. Doing it twice changes nothing.
// errs.NotFound, errs.Forbidden; errs.Conflict when nobody could manage accounts any more.
func (a *Accounts) Disable(ctx context.Context, by Actor, name string) error {
	if err := a.allow(ctx, by, audit.UserDisabled, name); err != nil {
		return err
	}
	return a.changeAccount(ctx, by, audit.UserDisabled, name, func(tx *sqlite.Tx, s stored) (string, bool, error) {
		if !s.Disabled.IsZero() {
			return "", false, nil
		}
		_, err := tx.Exec(ctx, `UPDATE accounts SET disabled_at = ? WHERE id = ? -- auth.Disable`, tx.Now, s.ID)
		if err != nil {
			return "", false, fmt.Errorf("disabling an account: %w", err)
		}
		n, err := endSessions(ctx, tx, s.ID)
		return ended(n), true, err
	})
}

// Enable takes Disable back; sessions that were ended stay so. Doing it twice changes nothing. errs.NotFound,
// errs.Forbidden.
func (a *Accounts) Enable(ctx context.Context, by Actor, name string) error {
	if err := a.allow(ctx, by, audit.UserEnabled, name); err != nil {
		return err
	}
	return a.changeAccount(ctx, by, audit.UserEnabled, name, func(tx *sqlite.Tx, s stored) (string, bool, error) {
		if s.Disabled.IsZero() {
			return "", false, nil
		}
		_, err := tx.Exec(ctx, `UPDATE accounts SET disabled_at = NULL WHERE id = ? -- auth.Enable`, s.ID)
		return "", true, wrap(err, "enabling an account")
	})
}

// Revoke ends all sessions of an account, which may sign in again. errs.NotFound, errs.Forbidden.
func (a *Accounts) Revoke(ctx context.Context, by Actor, name string) error {
	if err := a.allow(ctx, by, audit.SignedOut, name); err != nil {
		return err
	}
	return a.changeAccount(ctx, by, audit.SignedOut, name, func(tx *sqlite.Tx, s stored) (string, bool, error) {
		n, err := endSessions(ctx, tx, s.ID)
		return ended(n), n > 0, err
	})
}

// changeAccount is change for an account that exists, and keeps the last administrator: whoever it is that asks and
// whatever is asked, it is undone when there was one who can manage accounts and is none any more.
func (a *Accounts) changeAccount(ctx context.Context, by Actor, action, name string, fn func(*sqlite.Tx, stored) (string, bool, error)) error {
	return a.change(ctx, by, action, canonical(name), func(tx *sqlite.Tx) (string, bool, error) {
		was, err := a.get(ctx, tx, name)
		if err != nil {
			return "", false, err
		}
		detail, changed, err := fn(tx, was)
		if err != nil || !changed || !was.isAdmin() {
			return detail, changed, err
		}
		var left bool
		_, err = sqlite.Row(tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM accounts a JOIN grants g ON g.account_id = a.id
			WHERE a.disabled_at IS NULL AND g.role = 'admin' AND g.env = '') -- auth.changeAccount`).Scan(&left))
		if err == nil && !left {
			err = errs.New(errs.Conflict, "%s is the last administrator of all environments. Give another account that role first.", was.Name)
		}
		return detail, changed, err
	})
}

// hash checks and hashes a password that is to be set, in turn with the sign-ins.
func (a *Accounts) hash(ctx context.Context, password string) (string, error) {
	if err := CheckPassword(password); err != nil {
		return "", err
	}
	if err := a.slots.acquire(ctx); err != nil {
		return "", err
	}
	defer a.slots.release()
	return newPHC(password, a.params, a.derive).String(), nil
}

func setGrants(ctx context.Context, tx *sqlite.Tx, id int64, grants []Grant) error {
	if _, err := tx.Exec(ctx, `DELETE FROM grants WHERE account_id = ? -- auth.setGrants`, id); err != nil {
		return fmt.Errorf("removing grants: %w", err)
	}
	for _, g := range grants {
		_, err := tx.Exec(ctx, `INSERT INTO grants (account_id, env, role) VALUES (?, ?, ?) -- auth.setGrants`, id, g.Env, string(g.Role))
		if err != nil {
			return fmt.Errorf("adding a grant: %w", err)
		}
	}
	return nil
}

// replacePassword stores a new hash and ends the account's sessions and its link to Slack: whoever came in with the old
// password, and may have linked themselves, is out. It tells what was ended.
func replacePassword(ctx context.Context, tx *sqlite.Tx, id int64, hash string) (told string, err error) {
	_, err = tx.Exec(ctx, `UPDATE accounts SET password_hash = ?, password_no = password_no + 1 WHERE id = ? -- auth.replacePassword`, hash, id)
	if err != nil {
		return "", fmt.Errorf("storing a password: %w", err)
	}
	n, err := endSessions(ctx, tx, id)
	if err != nil {
		return "", err
	}
	link, err := unlink(ctx, tx, id)
	switch {
	case errs.KindOf(err) == errs.NotFound:
		return ended(n), nil
	case err != nil:
		return "", err
	}
	return fmt.Sprintf("%s The link to %s of %s in Slack was ended too.", ended(n), link.User, link.Team), nil
}

// endSessions ends an account's sessions and takes back the link code that one of them was shown.
func endSessions(ctx context.Context, tx *sqlite.Tx, id int64) (int64, error) {
	if err := dropCode(ctx, tx, id); err != nil {
		return 0, err
	}
	res, err := tx.Exec(ctx, `DELETE FROM sessions WHERE account_id = ? -- auth.endSessions`, id)
	if err != nil {
		return 0, fmt.Errorf("ending sessions: %w", err)
	}
	return res.RowsAffected()
}

func ended(sessions int64) string {
	if sessions == 1 {
		return "1 session was ended."
	}
	return fmt.Sprintf("%d sessions were ended.", sessions)
}
