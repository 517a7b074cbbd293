package browser_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Most of a picture is of the page; a log that goes on below tells nothing more.
const tallest = 900

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
	slow := sample(t)["api"].SlowTag
	if strings.Contains(d.image(t, "api"), slow) { // another run on the same demo
		p.deploy("api", otherTag(t, d, "api"))
		p.ends("Succeeded", p.loadCount())
	}
	p.idle("api")
	next := otherTag(t, d, "api")
	p.shoot("board", "/")
	p.shoot("app", "/apps/prod/api")
	p.shoot("confirm", "/apps/prod/api/confirm?image="+next)
	p.shoot("failed", failed)
	p.shoot("answered", p.answered(d))
	p.shoot("rollback", "/apps/prod/api/confirm?rollback_to=last")
	p.lock("prod/api", "moving the database")
	p.shoot("locks", "/locks")
	p.shoot("board-locked", "/")
	p.shoot("app-locked", "/apps/prod/api")
	p.shoot("confirm-locked", "/apps/prod/api/confirm?image="+next)
	p.unlock()
	restore := p.stands(d)
	p.shoot("outside-standing", "/apps/prod/admin")
	p.shoot("outside-restore", restore)
	p.shoot("board-standing", "/")
	p.shoot("locks-standing", "/locks")
	p.shoot("audit", "/audit")
	p.shoot("people", "/people")
	p.shoot("account", "/account")
	id := p.deploy("api", slow)
	p.until("the second pod waits for its probe", `document.querySelectorAll("#deploy-pods ul")[0].querySelectorAll(".st.ok").length === 1 &&
		document.querySelector("#deploy-pods progress")?.value >= 4`)
	p.shoot("deploy", fmt.Sprint("/deploys/", id))
	p.shoot("board-live", "/")
	beside(t, "phone", "board-live-phone", "deploy-phone")
}

// beside puts two pictures next to each other.
func beside(t testing.TB, name, left, right string) {
	t.Helper()
	const gap = 40
	a, b := readShot(t, left), readShot(t, right)
	height := min(a.Bounds().Dy(), b.Bounds().Dy())
	out := image.NewRGBA(image.Rect(0, 0, a.Bounds().Dx()+gap+b.Bounds().Dx(), height))
	draw.Draw(out, a.Bounds(), a, image.Point{}, draw.Src)
	draw.Draw(out, b.Bounds().Add(image.Pt(a.Bounds().Dx()+gap, 0)), b, image.Point{}, draw.Src)
	writeShot(t, name, out)
}

func readShot(t testing.TB, name string) image.Image {
	t.Helper()
	f, err := os.Open(filepath.Join(*shots, name+".png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// writeShot writes a picture in the 256 colours that are most used in it: these pages have few, and files stay small.
func writeShot(t testing.TB, name string, img image.Image) {
	t.Helper()
	box := img.Bounds()
	src := image.NewRGBA(box)
	draw.Draw(src, box, img, box.Min, draw.Src)
	often := map[color.RGBA]int{}
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			often[src.RGBAAt(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(often), func(a, b color.RGBA) int { return often[b] - often[a] })
	flat := image.NewPaletted(box, nil)
	for _, c := range colours[:min(len(colours), 256)] {
		flat.Palette = append(flat.Palette, c)
	}
	nearest := map[color.RGBA]uint8{}
	for _, c := range colours {
		nearest[c] = uint8(flat.Palette.Index(c))
	}
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			flat.SetColorIndex(x, y, nearest[src.RGBAAt(x, y)])
		}
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, flat); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(*shots, name+".png")
	if err := errors.Join(os.MkdirAll(*shots, 0o755), os.WriteFile(file, b.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d KB, of %d colours", file, b.Len()/1024, len(colours))
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
		// The room that is kept for a scroll bar is no part of the picture.
		get[bool](p, `Object.assign(document.documentElement.style, {scrollbarGutter: "auto", overflow: "hidden"}) && true`)
		height := min(get[float64](p, `document.documentElement.getBoundingClientRect().height`), tallest)
		shot, err := chromedp.Run(p.ctx, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
			got, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{
				CaptureBeyondViewport: new(true),
				Clip:                  &page.Viewport{Width: float64(look.width), Height: height, Scale: 1},
			})
			return got.Data, err
		})
		if err != nil {
			p.t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(shot))
		if err != nil {
			p.t.Fatal(err)
		}
		writeShot(p.t, name+look.suffix, img)
	}
}
