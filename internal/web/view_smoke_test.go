package web

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// probed is a deploy whose pods are all well, and of whose 150 smoke requests n were answered, dealt over three addresses;
// bad says which failed.
func probed(n int, bad func(n int) bool) deployFacts {
	f := running()
	r := f.Rollout
	r.Replicas, r.Updated, r.Ready, r.Available = 3, 3, 3, 3
	r.Pods = nil
	f.Deploy.Smoke = &deploys.Smoke{Probes: []deploys.SmokeProbe{{URL: "https://api.example.org/health", Requests: 150}}}
	if n < 0 {
		return f
	}
	s := f.Deploy.Smoke
	s.Began = since(4 * time.Second)
	for i := range n {
		one := deploys.SmokeResult{N: i, Address: fmt.Sprintf("10.0.0.%d", i%3+1), Took: 12 * time.Millisecond, Status: 200}
		if bad(i) {
			one.Status, one.Fault = 502, "HTTP 502"
		}
		s.Results = append(s.Results, one)
	}
	return f
}

func noFault(int) bool      { return false }
func oneOfThree(n int) bool { return n%3 == 1 }
func everyOther(n int) bool { return n%2 == 1 }

// concluded is how it ended.
func concluded(f deployFacts, status deploys.Status) deployFacts {
	d := &f.Deploy
	d.Status, d.Finished, d.Smoke.Ended = status, noon, noon
	if d.Cause = d.Smoke.Cause(); d.Cause != nil {
		d.Sentence = d.Cause.Sentence
	}
	return f
}

// TestSmokeOnThePage draws the page as it is sent at first and as the stream sends it: both say the same.
func TestSmokeOnThePage(t *testing.T) {
	for name, c := range map[string]struct {
		facts         deployFacts
		good, bad     int // dots
		step, state   string
		summary, mark string
		outcome       string
		rows          int
		failures      int
	}{
		"to come":      {probed(-1, noFault), 0, 0, "Smoke probes to come 150 requests", "todo", "", "Holding steady", "", 0, 0},
		"filling":      {probed(61, noFault), 61, 0, "Smoke probes under way 61 of 150 4 s", "now", "61 of 150 answered, p50 12 ms, p99 12 ms", "Smoke probes run", "", 3, 0},
		"all good":     {concluded(probed(150, noFault), deploys.Succeeded), 150, 0, "Smoke probes done 150 of 150", "done", "150 of 150 answered, p50 12 ms, p99 12 ms", "Succeeded", "", 3, 0},
		"one address":  {concluded(probed(150, oneOfThree), deploys.Failed), 100, 50, "Smoke probes failed 50 of 150 failed", "fail", "100 of 150 answered, 50 failed, p50 12 ms, p99 12 ms", "Failed", "All 50 to 10.0.0.2 failed; every other address answered.", 3, 10},
		"every second": {concluded(probed(150, everyOther), deploys.Failed), 75, 75, "Smoke probes failed 75 of 150 failed", "fail", "75 of 150 answered, 75 failed", "Failed", "75 of 150 requests to https://api.example.org/health failed: HTTP 502. Every second one failed.", 3, 10},
	} {
		t.Run(name, func(t *testing.T) {
			view := deployView(c.facts)
			var first, streamed bytes.Buffer
			for _, err := range []error{templates.DeployLive(view).Render(t.Context(), &first), templates.DeployMessage(view, false).Render(t.Context(), &streamed)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			doc, err := goquery.NewDocumentFromReader(&first)
			if err != nil {
				t.Fatal(err)
			}
			html, err := doc.Find("#deploy-smoke").Html()
			if err != nil || c.good > 0 && (html == "" || !strings.Contains(streamed.String(), `id="deploy-smoke"`)) {
				t.Fatalf("nothing is drawn: %v", err)
			}
			if n := strings.Count(streamed.String(), `<i class="ok"></i>`); n != c.good {
				t.Errorf("the stream sends %d good dots", n)
			}
			if len(html) > 12<<10 {
				t.Errorf("%d bytes for 150 dots", len(html))
			}
			count := func(selector string, want int) {
				t.Helper()
				if got := doc.Find(selector).Length(); got != want {
					t.Errorf("%d of %s, want %d", got, selector, want)
				}
			}
			count("#deploy-dots i.ok", c.good)
			count("#deploy-dots i.bad", c.bad)
			if c.summary != "" {
				count("#deploy-dots i", 150)
				label := fmt.Sprintf("%d of 150 requests answered, %d failed, %d to come", c.good, c.bad, 150-c.good-c.bad)
				if got := doc.Find("#deploy-dots").AttrOr("aria-label", ""); got != label {
					t.Errorf("the dots are called %q", got)
				}
			}
			count("#deploy-addresses tbody tr", c.rows)
			count("#deploy-smoke-failures li", c.failures)
			count("#deploy-steps li", 5)
			text := func(selector string) string {
				return strings.Join(strings.Fields(doc.Find(selector).First().Text()), " ")
			}
			for selector, want := range map[string]string{"#deploy-steps li:last-child": c.step, "#deploy-smoke header": c.summary, "#deploy-head .kicker": c.mark, "#deploy-outcome h2": c.outcome} {
				if got := text(selector); !strings.Contains(got, want) {
					t.Errorf("%s says %q, want %q", selector, got, want)
				}
			}
			if got := doc.Find("#deploy-steps li").Last().AttrOr("class", ""); got != c.state {
				t.Errorf("the step is %q", got)
			}
			if c.bad > 0 && (!strings.Contains(text("#deploy-smoke-failures li"), "#2HTTP 502 (12 ms) from 10.0.0.2") || !strings.Contains(text("#deploy-smoke > p"), fmt.Sprintf("and %d more", c.bad-10))) {
				t.Errorf("the failures read %q", text("#deploy-smoke-failures"))
			}
		})
	}
}

// TestNoSmokeStep: an app without smoke probes has neither the step nor the part.
func TestNoSmokeStep(t *testing.T) {
	view := deployView(running())
	if len(view.Steps) != 4 || view.Smoke != nil {
		t.Errorf("%d steps, %+v", len(view.Steps), view.Smoke)
	}
}

// TestSmokeThatWasCutOff: what ended the deploy is what the steps show.
func TestSmokeThatWasCutOff(t *testing.T) {
	f := probed(61, noFault)
	f.Deploy.Status, f.Deploy.Finished, f.Deploy.Sentence = deploys.Superseded, noon, "api was changed by kubectl-set."
	steps := deployView(f).Steps
	if last := steps[len(steps)-1]; last.State != templates.StepTodo || last.Figure != "ended after 61 of 150" {
		t.Errorf("%+v", last)
	}
}
