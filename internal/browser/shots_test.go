package browser_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Most of a picture is of the page; a log that goes on below tells nothing more.
const tallest = 1100

// TestShots makes the pictures of the book and the README when -shots names a folder: each page light and dark, and as
// a phone shows it.
func TestShots(t *testing.T) {
	if *shots == "" {
		return // nobody asked for pictures, and nothing is proven by them
	}
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	failed := p.aFailedDeploy(d)
	p.idle("api")
	p.open("/")
	next := otherTag(t, d, "api")
	p.shoot("board", "/")
	p.shoot("app", "/apps/prod/api")
	p.shoot("confirm", "/apps/prod/api/confirm?image="+next)
	p.shoot("failed", failed)
	p.shoot("audit", "/audit")
	p.shoot("people", "/people")
	p.shoot("account", "/account")
	slow := sample(t)["api"].SlowTag
	id := p.deploy("api", slow)
	p.until("a probe fails", shows("#deploy-pods", "startup probe"))
	p.until("some seconds are shown", `[...document.querySelectorAll("#deploy-pods .clock")].some((c) => parseInt(c.textContent) >= 4)`)
	p.shoot("deploy", fmt.Sprint("/deploys/", id))
	p.shoot("board-live", "/")
}

// shoot takes one page in all its looks.
func (p *tab) shoot(name, path string) {
	p.t.Helper()
	for _, look := range []struct {
		suffix, scheme string
		width, scale   int64
	}{{"", "light", 1400, 1}, {"-dark", "dark", 1400, 1}, {"-phone", "light", 390, 2}} {
		if look.width < 1000 {
			p.must("be a phone", chromedp.EmulateViewport(look.width, 844, chromedp.EmulateMobile, chromedp.EmulateScale(float64(look.scale))))
		} else {
			p.must("be a screen", chromedp.EmulateViewport(look.width, 900, chromedp.EmulateScale(float64(look.scale))))
		}
		p.scheme(look.scheme)
		p.open(path)
		p.until("the page is live, or is not to be", `!document.querySelector("#stream:not([data-done])") || document.querySelector("#live").dataset.state === "ok"`)
		height := min(get[float64](p, `document.documentElement.getBoundingClientRect().height`), tallest)
		png, err := chromedp.Run(p.ctx, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
			got, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{
				CaptureBeyondViewport: new(true),
				Clip:                  &page.Viewport{Width: float64(look.width), Height: height, Scale: 1},
			})
			return got.Data, err
		})
		if err != nil {
			p.t.Fatal(err)
		}
		if err := os.MkdirAll(*shots, 0o755); err != nil {
			p.t.Fatal(err)
		}
		file := filepath.Join(*shots, name+look.suffix+".png")
		if err := os.WriteFile(file, png, 0o644); err != nil {
			p.t.Fatal(err)
		}
		p.t.Logf("%s: %d KB", file, len(png)/1024)
	}
}
