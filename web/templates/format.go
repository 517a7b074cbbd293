package templates

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// iso is a time for machines, UTC to the millisecond.
func iso(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// UTC is a time for people who compare: exact to the second, with its zone.
func UTC(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// UTCShort is a time for a sentence: the minute, and the day where it is not today.
func UTCShort(t, now time.Time) string {
	if t.UTC().Format("0102") == now.UTC().Format("0102") && now.Sub(t).Abs() < 24*time.Hour {
		return t.UTC().Format("15:04 UTC")
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

func clockTime(t time.Time) string { return t.UTC().Format("15:04:05") }

// Ago is how long ago t was, in one unit: "41 s ago", "3 d ago"; the date once it is more than 60 days.
func Ago(t, now time.Time) string {
	if now.Sub(t) >= 60*24*time.Hour {
		return t.UTC().Format("2006-01-02")
	}
	return For(t, now) + " ago"
}

// For is how long t has lasted, in one unit: "41 s", "3 d".
func For(t, now time.Time) string {
	switch s := seconds(now.Sub(t)); {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 86400:
		return fmt.Sprintf("%d h", s/3600)
	default:
		return fmt.Sprintf("%d d", s/86400)
	}
}

// Dur is a duration in at most two units: "38 s", "1 min 2 s", "3 d 4 h".
func Dur(d time.Duration) string {
	s := seconds(d)
	two := func(a int64, unit string, b int64, unit2 string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, unit)
		}
		return fmt.Sprintf("%d %s %d %s", a, unit, b, unit2)
	}
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return two(s/60, "min", s%60, "s")
	case s < 86400:
		return two(s/3600, "h", s%3600/60, "min")
	default:
		return two(s/86400, "d", s%86400/3600, "h")
	}
}

// Took is a duration that is over: as Dur, with a tenth below ten seconds.
func Took(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", max(d, 0).Seconds())
	}
	return Dur(d)
}

func seconds(d time.Duration) int64 { return max(0, int64(d/time.Second)) }

// text is what a clock reads at now; portal.js says the same while it ticks.
func (c Clock) text(now time.Time) string {
	d := c.elapsed(now)
	switch {
	case c.Limit == 0:
		return Dur(d)
	case c.Limit < 10*time.Minute:
		return fmt.Sprintf("%d s of %d s", seconds(d), seconds(c.Limit))
	default:
		return Dur(d) + " of " + Dur(c.Limit)
	}
}

func (c Clock) elapsed(now time.Time) time.Duration {
	if !c.To.IsZero() {
		now = c.To
	}
	return max(0, now.Sub(c.From))
}

// value is where the clock's bar stands, never beyond its end.
func (c Clock) value(now time.Time) string {
	return strconv.FormatInt(min(seconds(c.elapsed(now)), seconds(c.Limit)), 10)
}

func (c Clock) limit() string { return strconv.FormatInt(seconds(c.Limit), 10) }

func (c Clock) running() bool { return c.To.IsZero() }

func num[T int | int32 | int64](n T) string { return strconv.FormatInt(int64(n), 10) }

// count reads "1 commit", "2 commits".
func count[T int | int32 | int64](n T, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return num(n) + " " + one + "s"
}

// shortDigest is a digest at a length two people can compare aloud: "9f1c2b…e07a".
func shortDigest(digest string) string {
	const prefix = len("sha256:")
	if len(digest) < prefix+16 {
		return digest
	}
	return digest[prefix:prefix+6] + "…" + digest[len(digest)-4:]
}

// shortHash is the start of a hash, as people quote it.
func shortHash(hash string) string { return hash[:min(12, len(hash))] }

// titled is the page under the title that the stream's messages keep up to date.
func (p DeployProps) titled() Page {
	p.Page.Title = deployTitle(p.Live)
	return p.Page
}

// deployTitle is the tab's title: the state first, because tabs cut the end off.
func deployTitle(p DeployLiveProps) string {
	return p.Mark.Word + ": " + p.App + " → " + p.To.Short + " in " + p.Env
}

// withValue keeps a chosen value in the list of a filter even when nothing has it any more.
func withValue(options []string, value string) []string {
	if value == "" || slices.Contains(options, value) {
		return options
	}
	return append(slices.Clone(options), value)
}
