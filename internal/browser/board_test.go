package browser_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The board is compared with the cluster and the registry, asked past the portal.
func TestBoardTellsWhatRuns(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	p.until("the board is live", `document.querySelector("#live").dataset.state === "ok"`)
	if got := get[int](p, `document.querySelectorAll("li.row").length`); got != 3 {
		t.Errorf("the board has %d rows, want 3", got)
	}
	for name, app := range sample(t) {
		p.idle(name)
		image, row := d.image(t, name), "#row-prod-"+name
		tag := ""
		newer := 0
		for i, pushed := range app.Tags { // newest push first
			if strings.Contains(image, pushed) {
				tag, newer = pushed, i
			}
		}
		if tag == "" {
			t.Fatalf("%s runs %s, which is not in the sample", name, image)
		}
		p.until(name+" shows its SHA", shows(row+" .sha", tag[:7]))
		p.until(name+" shows its commit", shows(row+" .what", subjectOf(t, app, tag)))
		p.until(name+" is healthy", shows(row+" .health", "Healthy"))
		want := "up to date"
		if newer > 0 {
			want = strconv.Itoa(newer) + " newer"
		}
		p.until(name+" shows "+want, shows(row+" .newer", want))
		if got := p.text(row + " .facts"); !regexp.MustCompile(`running \d+ (s|min|h|d)\b`).MatchString(got) {
			t.Errorf("%s does not say how long it has run: %q", name, got)
		}
	}
}
