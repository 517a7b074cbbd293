package slack

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// TestLogTellsNoLog: `/deploy log` says why a deploy failed by the rule of its environment, as its message does.
func TestLogTellsNoLog(t *testing.T) {
	failed := crashed().deploy
	failed.Sentence += " The key was s3cr3t-t0ken."
	for _, logs := range []bool{false, true} {
		voices := func(string) voice { return newVoice(Options{Secrets: []string{"s3cr3t-t0ken"}}, Env{Logs: logs}) }
		said, err := json.Marshal(sayLog([]deploys.App{{Target: failed.Target}}, []deploys.Deploy{failed}, voices, ""))
		must(t, err)
		for _, never := range []string{"hunter2", "s3cr3t"} {
			if strings.Contains(string(said), never) {
				t.Errorf("logs %v: %s is told", logs, never)
			}
		}
		if strings.Contains(string(said), "password authentication failed") != logs {
			t.Errorf("logs %v: %s", logs, said)
		}
	}
}

// TestSorryTellsNoLog: a refusal may quote why an image was marked as bad, which may quote a log.
func TestSorryTellsNoLog(t *testing.T) {
	mark := deploys.BadImage{Tag: "abc1234", ActorName: "ana", At: tenPast, Reason: "Deploy 7 failed: api ended. It said: postgres://api:hunter2@db/api is down."}
	refusal := saySorry(errs.New(errs.Invalid, "%s Say why it is to run all the same.", mark.Says()), "1").Text
	o := planBlocked()
	o.mark = &mark
	o.closed = []objection{{mark.Says(), "Ask again with a reason."}}
	plan, err := json.Marshal(sayPlan(o, portalURL))
	must(t, err)
	for _, said := range []string{refusal, string(plan)} {
		if strings.Contains(said, "hunter2") || strings.Contains(said, "is down") {
			t.Errorf("a log line is told: %s", said)
		}
		if !strings.Contains(said, "api ended.") {
			t.Errorf("more is left out than the log: %s", said)
		}
	}
}

// TestMaskWhatWasCut: a line that is kept only in part may end within what is to be masked.
func TestMaskWhatWasCut(t *testing.T) {
	v := newVoice(Options{Secrets: []string{"s3cr3t-t0ken"}}, Env{Logs: true})
	for in, want := range map[string]string{
		"key s3cr3t-t0k…":                     "key •••…",
		"key s3cr… It failed.":                "key •••… It failed.",
		"cannot reach postgres://api:hunte…":  "cannot reach postgres://•••…",
		"cannot reach https://example.org/a…": "cannot reach https://example.org/a…",
		"it goes on…":                         "it goes on…",
	} {
		if got := v.clear(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// TestTextsFit: what somebody types comes back no longer than Slack takes, which counts what an escape is.
func TestTextsFit(t *testing.T) {
	typed := strings.Repeat("&", mostTyped)
	_, err := parse("api abc1234 " + typed)
	if err == nil {
		t.Fatal("that is a command")
	}
	for name, m := range map[string]Message{"sorry": saySorry(err, "1"), "looking": sayLooking(typed)} {
		said, err := json.Marshal(m.Blocks)
		must(t, err)
		var blocks []struct{ Text struct{ Text string } }
		must(t, json.Unmarshal(said, &blocks))
		if n := utf8.RuneCountInString(blocks[0].Text.Text); n > 3000 {
			t.Errorf("%s: %d characters", name, n)
		}
	}
}
