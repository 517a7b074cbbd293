package story_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BenchmarkDeploy measures the time from the click to the patched Deployment as another client of the API server sees it,
// and how many requests besides the watches a deploy costs.
func BenchmarkDeploy(b *testing.B) {
	w := newWorld(b, func(w *world) { w.stability = "1s" })
	const rounds = 20
	var took []time.Duration
	calls := len(w.gate.writes())
	for i := range rounds {
		tag := []string{v2, v1}[i%2]
		page := w.ana.get(confirmPath(tag))
		clicked := time.Now()
		id := page.submit(w.ana, confirmForm, nil).deployID()
		took = append(took, w.patched(w.pinned(tag)).Sub(clicked))
		w.over(id, "succeeded", "stayed well")
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "click-to-patch-p99-ms")
	b.ReportMetric(150, "target-click-to-patch-p99-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "click-to-patch-p50-ms")
	b.ReportMetric(float64(len(w.gate.writes())-calls)/rounds, "writes/deploy")
	b.ReportMetric(0, "ns/op")
}

// patched waits until the Deployment asks for an image and gives the time at which that was seen.
func (w *world) patched(image string) time.Time {
	w.until("the Deployment to ask for "+image, func() bool {
		d, err := w.ns.Admin.AppsV1().Deployments(w.ns.Name).Get(context.Background(), "api", metav1.GetOptions{})
		return err == nil && d.Spec.Template.Spec.Containers[0].Image == image
	})
	return time.Now()
}

// BenchmarkStart measures a start until the caches are read, the memory of an idle portal and the size of its binary,
// built as it ships but for the static link.
func BenchmarkStart(b *testing.B) {
	w := newWorld(b)
	w.stop()
	bin := filepath.Join(b.TempDir(), "portal")
	out, err := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "deployportal/cmd/portal").CombinedOutput()
	if err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	info, err := os.Stat(bin)
	if err != nil {
		b.Fatal(err)
	}
	var slowest time.Duration
	for range 5 {
		began := time.Now()
		p := &process{cmd: exec.Command(bin, "--config", w.path("portal.yaml"), "serve"), out: &lines{}, dead: make(chan struct{})}
		p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
		if err := p.cmd.Start(); err != nil {
			b.Fatal(err)
		}
		go func() {
			_ = p.cmd.Wait()
			close(p.dead)
		}()
		w.until("the caches to be read", func() bool { return strings.Contains(p.out.String(), "the cluster is read") })
		slowest = max(slowest, time.Since(began))
		b.ReportMetric(resident(b, p.cmd.Process.Pid), "idle-rss-MiB")
		w.reap(p)
	}
	b.ReportMetric(60, "target-idle-rss-MiB")
	b.ReportMetric(float64(slowest.Milliseconds()), "start-max-ms")
	b.ReportMetric(1500, "target-start-max-ms")
	b.ReportMetric(float64(info.Size())/(1<<20), "binary-MiB")
	b.ReportMetric(60, "target-binary-MiB")
	b.ReportMetric(0, "ns/op")
}

// resident is the memory of a process as the kernel counts it.
func resident(b *testing.B, pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
