package templates

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestWordsForTime(t *testing.T) {
	for _, c := range []struct {
		d              time.Duration
		ago, dur, took string
	}{
		{-time.Second, "0 s ago", "0 s", "0.0 s"},
		{140 * time.Millisecond, "0 s ago", "0 s", "0.1 s"},
		{41 * time.Second, "41 s ago", "41 s", "41 s"},
		{62 * time.Second, "1 min ago", "1 min 2 s", "1 min 2 s"},
		{2 * time.Hour, "2 h ago", "2 h", "2 h"},
		{75 * time.Hour, "3 d ago", "3 d 3 h", "3 d 3 h"},
		{90 * 24 * time.Hour, "2026-08-25", "90 d", "90 d"},
	} {
		if got := Ago(now.Add(-c.d), now); got != c.ago {
			t.Errorf("Ago(%s) = %q", c.d, got)
		}
		if got := Dur(c.d); got != c.dur {
			t.Errorf("Dur(%s) = %q", c.d, got)
		}
		if got := Took(c.d); got != c.took {
			t.Errorf("Took(%s) = %q", c.d, got)
		}
	}
}

func TestClock(t *testing.T) {
	for _, c := range []struct {
		clock       Clock
		text, value string
	}{
		{Clock{From: past(38 * time.Second), Limit: 4 * time.Minute}, "38 s of 240 s", "38"},
		{Clock{From: past(300 * time.Second), Limit: 4 * time.Minute}, "300 s of 240 s", "240"},
		{Clock{From: past(90 * time.Second), Limit: 20 * time.Minute}, "1 min 30 s of 20 min", "90"},
		{Clock{From: past(90 * time.Second), To: past(30 * time.Second)}, "1 min", "0"},
		{Clock{From: past(-5 * time.Second)}, "0 s", "0"},
	} {
		if got := c.clock.text(now); got != c.text {
			t.Errorf("text %q, want %q", got, c.text)
		}
		if got := c.clock.value(now); got != c.value {
			t.Errorf("value %q, want %q", got, c.value)
		}
	}
}

func TestUTCShort(t *testing.T) {
	if got := UTCShort(past(2*time.Hour), now); got != "12:02 UTC" {
		t.Error(got)
	}
	if got := UTCShort(past(20*time.Hour), now); got != "2026-11-22 18:02 UTC" {
		t.Error(got)
	}
}

func TestURLs(t *testing.T) {
	for got, want := range map[string]string{
		AppURL("prod", "a/b c"):               "/apps/prod/a%2Fb%20c",
		ConfirmURL("prod", "api", "x&y=1", 7): "/apps/prod/api/confirm?image=x%26y%3D1&replaces=7",
		RollbackURL("prod", "api", 0, 0):      "/apps/prod/api/confirm?rollback_to=last",
		RollbackURL("prod", "api", 12, 13):    "/apps/prod/api/confirm?replaces=13&rollback_to=12",
		DeployEventsURL(3, 9):                 "/deploys/3/events?after=9",
		AppEventsURL("prod", "api"):           "/apps/prod/api/events",
		RevokeURL("a/b"):                      "/account/sessions/a%2Fb/revoke",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// The connection element is what the stream needs: a watchdog, nothing swapped into itself, and an end.
func TestStreamElement(t *testing.T) {
	html := render(t, Deploy(deployProps()))
	for _, part := range []string{
		`hx-sse:connect="/deploys/319/events?after=7"`, `hx-swap="none"`, `hx-trigger="load, every 5s"`, `sse.pauseOnBackground:false`,
	} {
		if !strings.Contains(html, part) {
			t.Errorf("no %s", part)
		}
	}
	if got := render(t, StreamDone()); strings.Contains(got, "connect") || !strings.Contains(got, `id="stream"`) {
		t.Error(got)
	}
	last := render(t, DeployMessage(failedProps().Live, true))
	if strings.Count(last, "<hx-partial") != 2 || !strings.HasPrefix(last, "<title>Failed: admin → 51d20be in prod · Deploy Portal</title>") {
		t.Error(last[:200])
	}
	if strings.Contains(render(t, DeployMessage(deployProps().Live, false)), `hx-target="#stream"`) {
		t.Error("a message of an active deploy ends the stream")
	}
	for _, c := range []Page{page("x", ""), {Title: "x", Now: now}} {
		var b strings.Builder
		if err := Layout(c).Render(context.Background(), &b); err != nil || strings.Contains(b.String(), "htmx") {
			t.Errorf("a page without a stream loads htmx: %v", err)
		}
	}
}
