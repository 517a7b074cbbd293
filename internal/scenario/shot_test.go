package scenario_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

var shots = flag.String("shots", "", "keep pictures of the pages of the most telling scenarios in this folder")

// telling are the scenarios whose pages the book shows.
var telling = map[string]bool{"foreign-program": true, "secret": true, "database": true, "startup-404": true, "deleted": true, "window": true}

var chrome struct {
	sync.Mutex
	ctx context.Context
}

// shoot takes a picture of the page of a deploy, as it is when it is over.
func (st *stage) shoot(path string) {
	st.t.Helper()
	if *shots == "" || !telling[st.s.key] {
		return
	}
	chrome.Lock()
	defer chrome.Unlock()
	if chrome.ctx == nil {
		opts := []chromedp.ExecAllocatorOption{chromedp.Headless, chromedp.NoFirstRun, chromedp.DisableGPU, chromedp.WindowSize(1400, 900),
			chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("force-color-profile", "srgb")}
		if os.Geteuid() == 0 {
			opts = append(opts, chromedp.NoSandbox) // Chromium's sandbox does not work for root
		}
		alloc, _ := chromedp.NewExecAllocator(context.Background(), opts...) // ends with the process
		chrome.ctx, _ = chromedp.NewContext(alloc)
	}
	p := st.w.portal
	shot, err := chromedp.Run(chrome.ctx, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		cookie := network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Cookie": p.cookie}}
		if _, err := cdp.Call(ctx, t, network.Enable, network.EnableParams{}); err != nil {
			return nil, err
		}
		if _, err := cdp.Call(ctx, t, network.SetExtraHTTPHeaders, cookie); err != nil {
			return nil, err
		}
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(1400, 900), chromedp.Navigate("http://"+p.addr+path)); err != nil {
			return nil, err
		}
		got, err := cdp.Call(ctx, t, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{})
		return got.Data, err
	})
	if err == nil {
		err = errors.Join(os.MkdirAll(*shots, 0o755), os.WriteFile(filepath.Join(*shots, st.s.key+".png"), shot, 0o644))
	}
	if err != nil {
		st.t.Errorf("picture of %s: %v", path, err)
	}
}
