package slack

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkAcknowledge measures how long Slack waits for an answer while Gitea and registry take 5 seconds for each of
// theirs: twenty people type a command at once, half of them one that needs nobody, and press a button after it.
func BenchmarkAcknowledge(b *testing.B) {
	w := newWorld(b)
	w.list(sha("abc1234"))
	w.catalog.slow = 5 * time.Second
	var mu sync.Mutex
	var took []time.Duration
	measured := func(r *http.Request) {
		began := time.Now()
		rec := w.serve(r)
		mu.Lock()
		defer mu.Unlock()
		if took = append(took, time.Since(began)); rec.Code != http.StatusOK {
			b.Errorf("status %d", rec.Code)
		}
	}
	b.ResetTimer()
	for range b.N {
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				text := "status api"
				if i%2 == 0 {
					text = fmt.Sprintf("api %s to prod", sha("abc1234"))
				}
				measured(sign(fresh(form(anaID, text)), time.Now()))
				measured(sign(fresh(press(anaID, actionRollback, "1")), time.Now()))
			})
		}
		all.Wait()
		w.door.stop() // gives up what waits for Gitea, or the next round would find no room
		w.door.work.Wait()
		w.door = w.open()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(800, "target-p99-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
	b.ReportMetric(2500, "target-max-ms")
}
