package story_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"deployportal/internal/gitea/giteatest"
	"deployportal/internal/slack/slacktest"
)

// BenchmarkSlack measures how long Slack waits for the portal's answer while cluster and Gitea take 5 seconds for each
// of theirs: 200 commands and presses of all kinds, 8 at a time. Slack gives up after 3 seconds.
func BenchmarkSlack(b *testing.B) {
	const (
		asks, together = 200, 8
		latency        = 5 * time.Second
	)
	w := newWorld(b, inSlack(overHTTP, ""))
	o := w.slack
	o.links(o.ana, w.ana)
	plan := o.types(o.ana, talk, "api "+v2)
	kinds := []func() slacktest.Request{
		func() slacktest.Request {
			return o.Press(o.ana, plan, slacktest.Button{ActionID: "rollback", Value: "1"})
		},
		func() slacktest.Request {
			return o.Press(o.ana, plan, slacktest.Button{ActionID: "cancel", Value: strings.Repeat("0", 32)})
		},
	}
	for _, words := range []string{"", "help", "status", "status api", "list api", "api " + v2, "api b2b2 to prod", "api " + v3 + " because it is late",
		"rollback api", "log api", "lock api the release", "unlock api", "apo " + v2, "link 00000-00000"} {
		kinds = append(kinds, func() slacktest.Request { return o.Command(o.ana, talk, "/deploy", words) })
	}
	w.gate.answer.Store(func(r *http.Request) int {
		select {
		case <-time.After(latency):
		case <-r.Context().Done():
		}
		return 0
	})
	defer w.gitea.Intercept(giteatest.Delay(latency))()
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	requests := make(chan slacktest.Request)
	for range together {
		all.Go(func() {
			for r := range requests {
				a := o.Send(b.Context(), r, 0)
				mu.Lock()
				took = append(took, a.Took)
				mu.Unlock()
				if a.Err != "" || a.Status != http.StatusOK {
					b.Errorf("%s: %+v", r.Form.Get("text"), a)
				}
			}
		})
	}
	for i := range asks {
		requests <- kinds[i%len(kinds)]()
	}
	close(requests)
	all.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(800, "target-p99-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
	b.ReportMetric(2500, "target-max-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(0, "ns/op")
}
