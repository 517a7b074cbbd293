package sqlite_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"deployportal/internal/sqlite"
)

func TestTimeKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		millis := rapid.Int64Range(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).UnixMilli())
		zone := time.FixedZone("", rapid.IntRange(-14*3600, 14*3600).Draw(t, "zone"))
		a, b := time.UnixMilli(millis.Draw(t, "a")).In(zone), time.UnixMilli(millis.Draw(t, "b"))
		x, y := sqlite.Time{Time: a}.String(), sqlite.Time{Time: b}.String()
		if len(x) != 24 || len(y) != 24 {
			t.Fatalf("%q and %q are not 24 wide", x, y)
		}
		if a.Compare(b) != strings.Compare(x, y) {
			t.Fatalf("%q and %q stand in another order than their times", x, y)
		}
		var back sqlite.Time
		if err := back.Scan([]byte(x)); err != nil || !back.Equal(a) || back.Location() != time.UTC {
			t.Fatalf("%q came back as %v (%v)", x, back, err)
		}
	})
}

func TestTimeInTheDatabase(t *testing.T) {
	db := openAt(t, t.TempDir()+"/portal.db")
	must(t, exec(db, `CREATE TABLE times (at TEXT) STRICT`))
	when := sqlite.Time{Time: time.Date(2026, 2, 28, 23, 0, 0, 5_000_000, time.UTC)}
	must(t, exec(db, `INSERT INTO times VALUES (?), (?)`, when, sqlite.Time{}))
	var text string
	var nulls int
	var got sqlite.Time
	must(t, db.QueryRow(t.Context(), `SELECT at FROM times WHERE at = ?`, when).Scan(&text))
	must(t, db.QueryRow(t.Context(), `SELECT count(*) FROM times WHERE at IS NULL`).Scan(&nulls))
	must(t, db.QueryRow(t.Context(), `SELECT at FROM times WHERE at IS NOT NULL`).Scan(&got))
	if text != "2026-02-28T23:00:00.005Z" || nulls != 1 || !got.Equal(when.Time) {
		t.Errorf("%q, %d NULLs, %v", text, nulls, got)
	}
	must(t, db.QueryRow(t.Context(), `SELECT at FROM times WHERE at IS NULL`).Scan(&got))
	if !got.IsZero() {
		t.Errorf("NULL is %v", got)
	}
}

// badTimes are near to a stored time but not one: each would sort or hash differently from what it says.
var badTimes = []string{"", "2026-01-01", "2026-01-01 00:00:00.000Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.00Z",
	"2026-01-01T00:00:00.0000Z", "2026-01-01T00:00:00,000Z", "2026-01-01T0:00:00.000Z", "2026-01-01T00:00:00.000+00:00",
	"2026-02-30T00:00:00.000Z", "2026-01-01T24:00:00.000Z", "2026-01-01T00:00:00.000z", " 2026-01-01T00:00:00.000Z",
	"2026-01-01T00:00:00.000Z\x00", "12026-01-01T00:00:00.000Z", "２026-01-01T00:00:00.000Z"}

func TestTimeRefuses(t *testing.T) {
	for _, s := range badTimes {
		var got sqlite.Time
		if err := got.Scan(s); err == nil {
			t.Errorf("%q was read as %v", s, got)
		}
	}
	for _, v := range []any{int64(1767225600), 3.5, true, time.Now()} {
		var got sqlite.Time
		if err := got.Scan(v); err == nil {
			t.Errorf("%T was read as %v", v, got)
		}
	}
}

// FuzzTimeScan: what Scan takes is exactly what String gives; nothing makes it panic.
func FuzzTimeScan(f *testing.F) {
	for _, s := range append(badTimes, "2026-01-01T00:00:00.000Z", "0000-12-31T23:59:59.999Z") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got sqlite.Time
		if got.Scan(s) == nil && got.String() != s {
			t.Errorf("%q was read as %q", s, got.String())
		}
	})
}
