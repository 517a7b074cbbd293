package sqlite

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// layout is fixed in width and zone, so that text order is time order.
const layout = "2006-01-02T15:04:05.000Z"

// Time is how every time is stored: fixed-width UTC text with milliseconds; the zero time is NULL.
type Time struct{ time.Time }

// Value implements driver.Valuer.
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return nil, nil
	}
	return t.String(), nil
}

// String gives the stored text.
func (t Time) String() string { return t.UTC().Format(layout) }

// Scan implements sql.Scanner. Text of another shape is an error.
func (t *Time) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		t.Time = time.Time{}
		return nil
	case string:
		return t.parse(v)
	case []byte:
		return t.parse(string(v))
	}
	return fmt.Errorf("a stored time is a %T", v)
}

func (t *Time) parse(s string) error {
	p, err := time.Parse(layout, s)
	if err != nil {
		return fmt.Errorf("a stored time: %w", err)
	}
	if p.Format(layout) != s { // time.Parse also takes a comma for the dot and an hour of one digit
		return fmt.Errorf("a stored time is %q, not %q", s, p.Format(layout))
	}
	t.Time = p
	return nil
}
