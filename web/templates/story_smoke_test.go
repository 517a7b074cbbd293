package templates

import (
	"fmt"
	"time"
)

// smokingProps is a deploy whose smoke probes run: 61 of 150 are sent.
func smokingProps() DeployProps {
	p := deployProps()
	l := &p.Live
	l.Mark = Mark{Busy, "Smoke probes run"}
	for i := range l.Steps {
		l.Steps[i].State, l.Steps[i].Clock = StepDone, nil
	}
	l.Steps[2].Figure = "31 s"
	l.Steps = append(l.Steps, Step{Name: "Smoke probes", State: StepNow, Figure: "61 of 150", Clock: &Clock{From: past(4 * time.Second)}})
	l.Pods.Groups = l.Pods.Groups[:1]
	l.Pods.Groups[0].Pods = l.Pods.Groups[0].Pods[:2]
	l.Smoke = &SmokeProps{Summary: "61 of 150 answered, p50 11 ms, p99 40 ms", URLs: []string{"https://api.honeydue.example/api/health"}, Dots: make([]Tone, 150), Label: "61 of 150 requests answered, 0 failed, 89 to come"}
	for i := range 61 {
		l.Smoke.Dots[i] = OK
	}
	return p
}

func smokeGoodProps() DeployProps {
	p := ended(smokingProps(), Mark{OK, "Succeeded"})
	l := &p.Live
	l.Note = "150 of 150 requests answered, p99 40 ms"
	l.Steps[4] = Step{Name: "Smoke probes", State: StepDone, Figure: "150 of 150"}
	l.Smoke.Summary = "150 of 150 answered, p50 11 ms, p99 40 ms"
	for i := range l.Smoke.Dots {
		l.Smoke.Dots[i] = OK
	}
	for _, n := range []string{"fsn-1 (10.0.0.1)", "fsn-2 (10.0.0.2)", "fsn-3 (10.0.0.3)"} {
		l.Smoke.Rows = append(l.Smoke.Rows, SmokeRow{Tone: OK, Name: n, Answered: "50 of 50", P50: "11 ms", P99: "40 ms"})
	}
	return p
}

func smokeFailedProps() DeployProps {
	p := ended(smokeGoodProps(), Mark{Bad, "Failed"})
	l := &p.Live
	l.Note = ""
	l.Steps[4] = Step{Name: "Smoke probes", State: StepFail, Figure: "50 of 150 failed"}
	l.Outcome = &Outcome{Mark: l.Mark, Title: "Smoke probes",
		Sentence: "50 of 150 requests to https://api.honeydue.example/api/health failed: no answer within 5 s. All 50 to fsn-2 (10.0.0.2) failed; every other address answered.",
		Detail:   "The app answers elsewhere, so look at the way there: that node's firewall, its ingress, and its path to the pods.",
		Log:      []string{"smoke     no answer within 5 s: 50 times", "smoke     fsn-1 (10.0.0.1): 50 of 50 answered", "smoke     fsn-2 (10.0.0.2): 0 of 50 answered"},
		Serving:  "2 pods of c7750aa. 3 wanted.", Todo: "Deploy 320 is rolling it back to 4be19f2 now. Cure the cause, then deploy the new image."}
	s := l.Smoke
	s.Summary, s.Label, s.Failed, s.More = "100 of 150 answered, 50 failed, p50 11 ms, p99 40 ms", "100 of 150 requests answered, 50 failed, 0 to come", "50 of 150", 40
	for i := range s.Dots {
		if i%3 == 1 {
			s.Dots[i] = Bad
		}
	}
	s.Rows[1] = SmokeRow{Tone: Bad, Name: "fsn-2 (10.0.0.2)", Fault: "no answer within 5 s", Answered: "0 of 50", P50: "–", P99: "–"}
	for i := range 10 {
		s.Failures = append(s.Failures, SmokeFailure{N: 3*i + 2, Text: fmt.Sprintf("no answer within 5 s (5.%d s) from fsn-2 (10.0.0.2)", i%3)})
	}
	return p
}
