package web

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/web/templates"
)

// BenchmarkFanOut measures what viewers of one deploy cost and how long one change takes to reach the last of them. The
// readers live in the same process, so that the memory is an upper bound: it counts both ends of every connection.
func BenchmarkFanOut(b *testing.B) {
	for _, viewers := range []int{100, 2000} {
		b.Run(fmt.Sprint(viewers), func(b *testing.B) { fanOut(b, viewers) })
	}
}

func fanOut(b *testing.B, viewers int) {
	bell := make(chan struct{}, 1)
	d := deploys.Deploy{}
	var mu sync.Mutex
	fake := &ringing{bell: bell, get: func() deploys.Deploy { mu.Lock(); defer mu.Unlock(); return d }}
	p := newPortal(b, func(o *Options) { fake.Deploys = o.Deploys; o.Deploys = fake }, nil)
	real := p.patched(p.start("staging", "b").ID)
	d = real
	cookie := p.as(admin).cookie
	host := strings.TrimPrefix(p.base, "http://")
	arrived := make(chan time.Time, viewers)
	before := inUse()
	for range viewers {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s/events?after=%d HTTP/1.1\r\nHost: %s\r\nCookie: %s=%s\r\n\r\n", templates.DeployURL(d.ID), d.Seq, host, cookie.Name, cookie.Value)
		in := bufio.NewReaderSize(conn, 4096)
		if _, err := in.ReadString('}'); err != nil { // the first beat
			b.Fatal(err)
		}
		go func() {
			for {
				line, err := in.ReadSlice('\n')
				if err != nil && err != bufio.ErrBufferFull {
					return
				}
				if strings.HasPrefix(string(line), "id: ") {
					arrived <- time.Now()
				}
			}
		}()
	}
	perViewer := float64(inUse()-before) / float64(viewers)
	var worst []time.Duration
	for b.Loop() {
		mu.Lock()
		d.Seq++
		mu.Unlock()
		began := time.Now()
		bell <- struct{}{}
		for range viewers {
			worst = append(worst, (<-arrived).Sub(began))
		}
	}
	slices.Sort(worst)
	b.ReportMetric(perViewer/1024, "KiB/viewer")
	b.ReportMetric(80, "target-KiB/viewer") // 2,000 viewers within 160 MiB
	b.ReportMetric(float64(worst[len(worst)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(250, "target-p99-ms")
	b.ReportMetric(float64(worst[len(worst)-1].Microseconds())/1000, "max-ms")
}

func inUse() uint64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// ringing is a domain whose deploy changes when a test rings.
type ringing struct {
	Deploys
	bell chan struct{}
	get  func() deploys.Deploy
}

func (r *ringing) Get(context.Context, int64) (deploys.Deploy, error) { return r.get(), nil }

func (r *ringing) Listen(int64) (<-chan struct{}, func()) { return r.bell, func() {} }
