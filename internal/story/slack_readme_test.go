package story_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"sigs.k8s.io/yaml"
)

// TestSlackReadme follows the section about Slack in README.md to the letter, by either transport. What a reader copies
// from Slack's pages is put in the place of the words that stand for it; all else is run as it is written.
func TestSlackReadme(t *testing.T) {
	t.Parallel()
	plays(t, func(t *testing.T, transport string) {
		w := newWorld(t, func(w *world) {
			w.more = "url: " + publicURL
			newOffice(w).furnish()
			w.slack.Team, w.slack.App = "T0123ABCD", "A0123ABCD" // as the text says
			w.slack.Create("C0123ABCD")
			w.env = []string{"PORTAL_SLACK_API_URL=" + w.slack.api} // and that Slack is this one
		})
		r := &reader{t: t, w: w, o: w.slack, socket: transport == overSocket, section: readmeSection(t, "### Slack")}
		for _, block := range r.blocks() {
			r.follows(block)
		}
		for _, step := range []string{"portal", "printf", "kubectl", "slack:", "/deploy link", "/deploy api"} {
			if !r.done[step] {
				t.Errorf("the section has no step that begins with %q", step)
			}
		}
		r.triesTheOthers()
		for _, scope := range r.o.Scopes {
			if !strings.Contains(r.section, "`"+scope+"`") {
				t.Errorf("the section does not say that the app asks for %s", scope)
			}
		}
		w.whole()
	})
}

// reader is somebody who sets Slack up for the first time.
type reader struct {
	t       *testing.T
	w       *world
	o       *office
	socket  bool
	section string
	done    map[string]bool
}

// readmeSection gives a part of README.md, from its heading to the next.
func readmeSection(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n"+heading+"\n")
	if !found {
		t.Fatalf("README.md has no %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n### ")
	return section
}

var (
	fence    = regexp.MustCompile("(?ms)^```(yaml)?\n(.*?)^```$")
	instead  = regexp.MustCompile(`^(\s*).*# Socket Mode: (.*)$`)
	pressed  = regexp.MustCompile(`press \*\*([^*]+)\*\*`)
	inTicks  = regexp.MustCompile("`([^`]+)`")
	theOther = regexp.MustCompile(`(?m)^The others are (.*)$`)
)

// blocks gives what is to be typed, block by block, each line as it is for the transport.
func (r *reader) blocks() (blocks []string) {
	for _, m := range fence.FindAllStringSubmatch(r.section, -1) {
		var lines []string
		for line := range strings.Lines(m[2]) {
			line = strings.TrimRight(line, "\n")
			if i := instead.FindStringSubmatch(line); r.socket && i != nil {
				line = i[1] + i[2]
			}
			lines = append(lines, line)
		}
		blocks = append(blocks, strings.Join(lines, "\n"))
	}
	return blocks
}

// follows does what one block says.
func (r *reader) follows(block string) {
	r.t.Helper()
	step, _, _ := strings.Cut(block, " ")
	switch {
	case strings.HasPrefix(block, "slack:"):
		step = "slack:"
		r.configures(block)
	case strings.HasPrefix(block, "/deploy link "):
		step = "/deploy link"
		r.links(block)
	case strings.HasPrefix(block, "/deploy api "):
		step = "/deploy api"
		r.deploys(block)
	case step == "portal":
		r.types(block)
		manifest, err := os.ReadFile(r.w.path("slack-app.json"))
		if err != nil {
			r.t.Fatal(err)
		}
		if err := r.o.Install(manifest); err != nil {
			r.t.Fatal(err)
		}
	case step == "printf":
		r.types(block)
	case step == "kubectl":
		r.patches(block)
	default:
		r.t.Errorf("a block that nobody can follow:\n%s", block)
	}
	if r.done == nil {
		r.done = map[string]bool{}
	}
	r.done[step] = true
}

// own puts in what is Slack's in the place of the words that stand for it.
func own(text string) string {
	return strings.NewReplacer("SECRET", slackSigningSecret, "xoxb-TOKEN", slackBotToken, "xapp-TOKEN", slackAppToken).Replace(text)
}

// types runs a block in the folder of the configuration.
func (r *reader) types(block string) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "sh", "-euc", own(block))
	cmd.Dir = r.w.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary(r.t))+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("%s\n%v\n%s", block, err, out)
	}
}

// patches runs the form for the cluster, in the namespace of the test, and looks whether the Secret then has what the files
// have.
func (r *reader) patches(block string) {
	r.t.Helper()
	r.w.kubectl("create", "secret", "generic", "deploy-portal", "--from-literal=gitea-token=any")
	block = strings.Replace(own(block), "-n deploy-portal ", "-n "+r.w.ns.Name+" ", 1)
	out, err := exec.CommandContext(r.t.Context(), "sh", "-euc", "kubectl() { printf '%s\\0' \"$@\"; }\n"+block).Output()
	if err != nil {
		r.t.Fatalf("%s\n%v", block, err)
	}
	r.w.kubectl(strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")...)
	for key, want := range map[string]string{"slack-signing-secret": slackSigningSecret, "slack-bot-token": slackBotToken, "gitea-token": "any"} {
		if got := r.w.kubectl("get", "secret", "deploy-portal", "--output=go-template={{index .data \""+key+"\" | base64decode}}"); got != want {
			r.t.Errorf("the Secret's %s is %q", key, got)
		}
	}
}

// configures puts the block into the configuration, with this machine's folder and namespace, and restarts the portal.
func (r *reader) configures(block string) {
	r.t.Helper()
	block = strings.NewReplacer("/secrets/", r.w.dir+"/", "honeydue", r.w.ns.Name).Replace(block)
	text, err := os.ReadFile(r.w.path("portal.yaml"))
	if err != nil {
		r.t.Fatal(err)
	}
	var have, more map[string]any
	for _, one := range []struct {
		text []byte
		into *map[string]any
	}{{text, &have}, {[]byte(block), &more}} {
		if err := yaml.Unmarshal(one.text, one.into); err != nil {
			r.t.Fatalf("%v\n%s", err, one.text)
		}
	}
	env := have["environments"].([]any)[0].(map[string]any)
	for key, value := range more["environments"].([]any)[0].(map[string]any) {
		env[key] = value
	}
	have["slack"] = more["slack"]
	if text, err = yaml.Marshal(have); err != nil {
		r.t.Fatal(err)
	}
	r.w.write("portal.yaml", text)
	r.w.stop()
	r.w.start()
	r.o.connected()
	r.w.seen()
}

// links presses what the text says to press, and types what is shown, which looks as the text says.
func (r *reader) links(block string) {
	r.t.Helper()
	press := pressed.FindStringSubmatch(r.section)
	account := r.w.ana.get(r.w.ana.get("/").doc.Find(`a:contains("ana")`).First().AttrOr("href", ""))
	form := account.doc.Find("form").FilterFunction(func(_ int, s *goquery.Selection) bool {
		return press != nil && strings.TrimSpace(s.Find("button").Text()) == press[1]
	})
	if form.Length() != 1 {
		r.t.Fatalf("the page of the account has no button %q:\n%s", press, account.text("main"))
	}
	shown := r.w.ana.send("POST", form.AttrOr("action", ""), map[string][]string{}).text("#slack-command")
	alike := regexp.MustCompile(`[0-9A-Z]`)
	if alike.ReplaceAllString(shown, "X") != alike.ReplaceAllString(strings.TrimSpace(block), "X") {
		r.t.Errorf("the text shows %q, the page %q", block, shown)
	}
	r.o.says(r.o.types(r.o.ana, talk, strings.TrimPrefix(shown, "/deploy ")), "You are linked to the account *ana*")
}

// deploys types the command with a tag that there is, and presses the button.
func (r *reader) deploys(block string) {
	r.t.Helper()
	words := strings.TrimPrefix(strings.Replace(strings.TrimSpace(block), "abc1234", v2, 1), "/deploy ")
	plan := r.o.says(r.o.types(r.o.ana, talk, words), "Deploy "+v2+" to api in prod")
	if b := plan.Button("deploy"); b == nil || !b.Confirms {
		r.t.Fatalf("the plan has no button that asks once more:\n%s", plan.Seen())
	}
	r.o.presses(r.o.ana, plan, "deploy")
	r.o.becomes(talk, 1, "Succeeded")
	r.o.says(r.o.types(r.o.ana, talk, "api "+v2[:4]), "runs "+v2+" already")
	r.w.over(1, "succeeded", "1 of 1 pod runs "+v2)
}

// triesTheOthers types every other command that the text names; each is understood.
func (r *reader) triesTheOthers() {
	r.t.Helper()
	m := theOther.FindStringSubmatch(r.section)
	if m == nil {
		r.t.Fatal("the section names no other commands")
	}
	var typed []string
	for _, ticks := range inTicks.FindAllStringSubmatch(m[1], -1) {
		words := strings.TrimPrefix(ticks[1], "/deploy ")
		answer := r.o.types(r.o.ana, talk, words).Seen()
		if strings.Contains(answer, "For example: /deploy") || strings.Contains(answer, "There is no app") {
			r.t.Errorf("/deploy %s is not understood:\n%s", words, answer)
		}
		typed = append(typed, strings.Fields(words)[0])
	}
	slices.Sort(typed)
	if want := []string{"help", "list", "lock", "log", "rollback", "status", "unlink", "unlock"}; !slices.Equal(typed, want) {
		r.t.Errorf("the section names %q, want %q", typed, want)
	}
}
