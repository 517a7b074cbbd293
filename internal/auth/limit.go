package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"time"

	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
)

// A name or an address that failed this often within the window is refused until its oldest counted failure has
// left the window. Refused attempts do not count, so nobody is locked out for ever by knocking on.
const (
	failWindow  = 15 * time.Minute
	perAccount  = 10
	perAddress  = 30
	maxFailures = 100_000 // rows; two computations at once do not produce more in a window
)

// addrKey gives what an address is limited by: IPv4 itself, of IPv6 the /64, because whoever has one address of it
// has all. What is no address shares one key, so that a fault in finding the address does not lift the limit.
func addrKey(addr string) string {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return "(no address)"
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	net, err := ip.Prefix(64)
	if err != nil {
		return "(no address)"
	}
	return net.String()
}

// nameKey gives what a typed name is counted by. Known and unknown names are treated alike; purpose keeps counters
// of the same name apart.
func (a *Accounts) nameKey(purpose, name string) []byte {
	mac := hmac.New(sha256.New, a.key)
	mac.Write([]byte(purpose + "\x00" + name))
	return mac.Sum(nil)[:16]
}

// limitKey is what failures are counted by.
type limitKey struct {
	account []byte
	addr    string // empty: counts for no address
	known   bool   // whether the account exists
}

// limited gives errs.TooMany with the time to wait when s has failed too often before now, else nil.
func limited(ctx context.Context, q sqlite.Querier, now time.Time, s limitKey) error {
	wait, err := waitFor(ctx, q, now, "account", s.account, perAccount)
	if err == nil && wait == 0 && s.addr != "" {
		wait, err = waitFor(ctx, q, now, "addr", s.addr, perAddress)
	}
	if err != nil || wait == 0 {
		return err
	}
	return tooMany(wait, "Too many failed attempts for this name or from this address.")
}

// tooMany gives errs.TooMany with the time to wait, behind a sentence that says of what there were too many.
func tooMany(wait time.Duration, sentence string) error {
	minutes := int((wait + time.Minute - 1) / time.Minute)
	unit := "minutes"
	if minutes == 1 {
		unit = "minute"
	}
	return errs.Wrap(&LimitError{RetryAfter: wait}, errs.TooMany, "%s Try again in %d %s.", sentence, minutes, unit)
}

// waitFor gives how long until fewer than limit failures are in the window: until the limit-th newest leaves it.
func waitFor(ctx context.Context, q sqlite.Querier, now time.Time, column string, key any, limit int) (time.Duration, error) {
	var at sqlite.Time
	found, err := sqlite.Row(q.QueryRow(ctx, `SELECT at FROM sign_in_failures WHERE `+column+` = ? AND at > ?
		ORDER BY at DESC LIMIT 1 OFFSET ? -- auth.waitFor`, key, sqlite.Time{Time: now.Add(-failWindow)}, limit-1).Scan(&at))
	if err != nil {
		return 0, fmt.Errorf("counting failed sign-ins by %s: %w", column, err)
	}
	if !found {
		return 0, nil
	}
	return max(at.Add(failWindow).Sub(now), time.Millisecond), nil
}

// countFailure notes one failed attempt. When the table is full of what must be kept, an unknown name's failure is
// dropped; one of a known account never is, and those are bounded by the limit itself.
func (a *Accounts) countFailure(ctx context.Context, tx *sqlite.Tx, s limitKey) error {
	room, err := a.makeRoom(ctx, tx)
	if err != nil || !room && !s.known {
		return err
	}
	var addr any
	if s.addr != "" {
		addr = s.addr
	}
	_, err = tx.Exec(ctx, `INSERT INTO sign_in_failures (at, account, addr, known) VALUES (?, ?, ?, ?) -- auth.countFailure`,
		tx.Now, s.account, addr, s.known)
	if err != nil {
		return fmt.Errorf("counting a failed sign-in: %w", err)
	}
	return nil
}

// makeRoom tells whether one more row fits, after evicting some if need be: the oldest of those that belong to no
// account and lock neither a name nor an address. A flood of made-up names thus pushes out only itself.
func (a *Accounts) makeRoom(ctx context.Context, tx *sqlite.Tx) (bool, error) {
	for _, count := range []string{
		`SELECT ifnull((SELECT max(id) FROM sign_in_failures) - (SELECT min(id) FROM sign_in_failures) + 1, 0) -- auth.makeRoom`,
		`SELECT count(*) FROM sign_in_failures -- auth.makeRoom`, // the first costs nothing but counts gaps
	} {
		var n int
		if _, err := sqlite.Row(tx.QueryRow(ctx, count).Scan(&n)); err != nil {
			return false, fmt.Errorf("counting the rows of failed sign-ins: %w", err)
		}
		if n < a.maxFailures {
			return true, nil
		}
	}
	// A twentieth at once, so that the search for them is paid seldom.
	res, err := tx.Exec(ctx, `DELETE FROM sign_in_failures WHERE id IN (
		SELECT f.id FROM sign_in_failures f WHERE f.at <= ? OR (f.known = 0
			AND (SELECT count(*) FROM sign_in_failures g WHERE g.account = f.account) < ?
			AND (SELECT count(*) FROM sign_in_failures g WHERE g.addr = f.addr) < ?)
		ORDER BY f.id LIMIT ?) -- auth.makeRoom`,
		sqlite.Time{Time: tx.Now.Add(-failWindow)}, perAccount, perAddress, a.maxFailures/20+1)
	if err != nil {
		return false, fmt.Errorf("evicting failed sign-ins: %w", err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// forgive takes back what the account failed from this one address: the typing errors of the person who now got it
// right. Failures from elsewhere stay, and all stay counted for the address: else whoever owns one account could
// reset the address between guesses at another.
func forgive(ctx context.Context, tx *sqlite.Tx, s limitKey) error {
	_, err := tx.Exec(ctx, `UPDATE sign_in_failures SET account = NULL, known = 0 WHERE account = ? AND addr = ? -- auth.forgive`,
		s.account, s.addr)
	if err != nil {
		return fmt.Errorf("forgiving failed sign-ins: %w", err)
	}
	return nil
}

// forget takes back every failure of an account, from wherever: an administrator has set its password anew.
func forget(ctx context.Context, tx *sqlite.Tx, account []byte) error {
	_, err := tx.Exec(ctx, `UPDATE sign_in_failures SET account = NULL, known = 0 WHERE account = ? -- auth.forget`, account)
	if err != nil {
		return fmt.Errorf("forgetting failed sign-ins: %w", err)
	}
	return nil
}
