package browser_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Chromium takes a cookie with the prefix __Host- only with Secure, and a Secure one over plain http only from the own
// machine. So this cookie proves that the door at 127.0.0.1 works as the portal believes.
func TestCookie(t *testing.T) {
	d := theDemo(t)
	p := newTab(t, d.url)
	p.signIn(d, "/")
	jar, err := chromedp.Call(p.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{d.url}})
	if err != nil {
		t.Fatal(err)
	}
	if len(jar.Cookies) != 1 {
		t.Fatalf("the portal sets %d cookies, want 1", len(jar.Cookies))
	}
	c := jar.Cookies[0]
	if c.Name != "__Host-portal" || !c.Secure || !c.HTTPOnly || c.Path != "/" || c.SameSite != network.CookieSameSiteLax || c.Session {
		t.Errorf("the cookie is %+v", c)
	}
	p.open("/account")
	_, sent := p.headers()
	if !slices.ContainsFunc(sent, func(s string) bool { return strings.Contains(s, "__Host-portal="+c.Value) }) {
		t.Error("the browser does not send it back")
	}
	if got := get[string](p, "document.cookie"); got != "" {
		t.Error("a script can read it")
	}
}

func TestSignOutElsewhereEndsTheStream(t *testing.T) {
	d := theDemo(t)
	for _, where := range []string{"/", "deploy"} {
		t.Run(strings.Trim(where, "/"), func(t *testing.T) {
			p := newTab(t, d.url)
			p.signIn(d, "/")
			if where == "deploy" {
				p.deploy("worker", otherTag(t, d, "worker"))
			}
			p.until("the page is live", `document.querySelector("#live").dataset.state === "ok"`)
			other := p.another()
			other.open("/account")
			p.excuse(`\b401\b`)
			other.excuse(`\b401\b`)
			other.follow("header .self button", "/sign-in")
			p.within(5*time.Second, "the page says signed out", shows("#live", "signed out"))
			if !get[bool](p, `document.querySelector("#live-in").checkVisibility()`) {
				t.Error("no link leads to the sign-in")
			}
			p.follow("#live-in", "/sign-in")
		})
	}
}

// A portal that has no account yet says how the first one is made, and what it says works.
func TestFirstAccount(t *testing.T) {
	d := theDemo(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(root, ".dev", "bin", "portal")
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(d.state, "demo", "portal.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := regexp.MustCompile(`"listen": "[^"]+"`).ReplaceAllString(string(text), `"listen": "127.0.0.1:0"`)
	config = regexp.MustCompile(`"database": "[^"]+"`).ReplaceAllString(config, `"database": `+quote(filepath.Join(dir, "portal.db")))
	path := filepath.Join(dir, "portal.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	base := serve(t, exec.Command(bin, "--config", path, "serve"))
	p := newTab(t, base)
	p.open("/")
	p.until("the sign-in page is open", arrived("/sign-in"))
	command := p.text("#first-run")
	if get[bool](p, `!!document.querySelector("input")`) || !strings.Contains(command, "user add") {
		t.Fatalf("the page says %q", p.looks())
	}
	// The command names the program as its folder's owner calls it; here it lies elsewhere.
	args := strings.Fields(command)
	at := slices.Index(args, "user")
	add := exec.Command(bin, append([]string{"--config", path}, args[at:]...)...)
	add.Stdin = strings.NewReader("correct horse battery\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	p.open("/")
	p.typeIn("#account", args[len(args)-1])
	p.typeIn("#password", "correct horse battery"+kb.Enter)
	p.until("the board is open", arrived("/"))
	p.until("the board knows the apps", `document.querySelectorAll("li.row").length === 3`)
}

// serve runs a portal until the test ends and gives its address.
func serve(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out := &output{news: make(chan struct{}, 1)}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := <-ended; err != nil {
			t.Errorf("the portal ended with %v\n%s", err, out)
		}
	})
	late := time.After(patience)
	for {
		if m := regexp.MustCompile(`\b(127\.0\.0\.1:[1-9]\d*)\b`).FindStringSubmatch(out.String()); m != nil {
			return "http://" + m[1]
		}
		select {
		case <-out.news:
		case <-late:
			t.Fatalf("the portal does not say where it listens:\n%s", out)
		}
	}
}
