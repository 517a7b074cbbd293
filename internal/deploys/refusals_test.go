package deploys_test

import (
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"deployportal/internal/auth"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/errs"
	"deployportal/internal/errs/errstest"
	"deployportal/internal/sqlite"
)

var update = flag.Bool("update", false, "write the sentences as they are now to testdata")

// noRefusals are the places whose errors nobody who asks is ever refused with: how a run ends, or what the program itself
// may not do. Everything else that the domain and the policy can say is produced below.
var noRefusals = map[string]string{
	"begin.go run.firstLook":     "the outcome of a run",
	"runner.go run.apply":        "the outcome of a run",
	"status.go Status.To":        "ends a run that another has replaced",
	"outside.go outsider.notice": "tried again",
}

// refusal makes the domain refuse something, by its own name in the file.
type refusal struct {
	name string
	ask  func(w *world) error
}

func start(change func(w *world, r *deploys.Request)) func(*world) error {
	return func(w *world) error {
		r := deployOf(api, "abc1234")
		change(w, &r)
		_, err := w.svc.Start(w.Context(), r)
		return err
	}
}

func rename(w *world, from, to string) {
	must(w, w.db.Write(w.Context(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec(w.Context(), fmt.Sprintf("ALTER TABLE %s RENAME TO %s", from, to))
		return err
	}))
}

// marked gives w a bad image, abc1234, by a rollback of ana's.
func marked(w *world) {
	d := w.deploy(deployOf(api, "abc1234"))
	w.complete(api)
	w.settle(11 * time.Second)
	req := back(d, true)
	req.Reason, req.LockTarget = "prices are wrong", false
	w.deploy(req)
	w.complete(api)
	w.settle(11 * time.Second)
}

func lockBy(by auth.Actor, s deploys.Scope, reason string, d time.Duration) func(*world) error {
	return func(w *world) error {
		_, err := w.svc.Lock(w.Context(), deploys.LockRequest{Scope: s, Reason: reason, For: d, Actor: by})
		return err
	}
}

var refusals = []refusal{
	{"nobody is signed in", start(func(_ *world, r *deploys.Request) { r.Actor = auth.Actor{} })},
	{"no role", start(func(_ *world, r *deploys.Request) { r.Actor = vera })},
	{"an action nobody may do", func(*world) error { return auth.Policy{}.Allow(root, "unheard of", "prod") }},
	{"nothing to do", start(func(_ *world, r *deploys.Request) { r.Image = "" })},
	{"two things to do", start(func(_ *world, r *deploys.Request) { r.Restart = true })},
	{"an adoption in place of a deploy", start(func(_ *world, r *deploys.Request) { r.Image, r.Adopt, r.Replaces = "", 1, 1 })},
	{"a tag too long", start(func(_ *world, r *deploys.Request) { r.Image = strings.Repeat("x", 129) })},
	{"a tag that is no SHA", start(func(_ *world, r *deploys.Request) { r.Image = "latest" })},
	{"ticks on a deploy", start(func(_ *world, r *deploys.Request) { r.MarkBad = true })},
	{"a form used elsewhere", start(func(w *world, r *deploys.Request) {
		r.Key = "k"
		w.deploy(*r)
		r.Target = admin
	})},
	{"the portal stops", start(func(w *world, _ *deploys.Request) { w.stop() })},
	{"the last deploy is not read yet", func(w *world) error {
		w.crashed("recorded")
		release := make(chan struct{})
		defer close(release)
		w.cluster.AfterLive = func() { <-release }
		w.start(nil)
		_, err := w.svc.Start(w.Context(), deployOf(api, "def5678"))
		return err
	}},
	{"no such deploy", start(func(_ *world, r *deploys.Request) { r.Image, r.Return = "", &deploys.ReturnTo{Deploy: 77} })},
	{"a deploy of another app", start(func(w *world, r *deploys.Request) {
		r.Image, r.Return = "", &deploys.ReturnTo{Deploy: w.deploy(deployOf(admin, "abc1234")).ID}
	})},
	{"back to what was not healthy", start(func(w *world, r *deploys.Request) {
		w.cluster.Update(api, func(r *deploys.Rollout) { r.Available = 0 })
		r.Image, r.Return = "", &deploys.ReturnTo{Deploy: w.deploy(*r).ID, Before: true}
	})},
	{"back to what did not succeed", start(func(w *world, r *deploys.Request) {
		r.Image, r.Return = "", &deploys.ReturnTo{Deploy: w.deploy(*r).ID}
	})},
	{"no such change", start(func(_ *world, r *deploys.Request) { r.Image, r.Return = "", &deploys.ReturnTo{Change: 77} })},
	{"back to what was not healthy before a change", start(func(w *world, r *deploys.Request) {
		w.settled()
		for _, image := range []string{imageF, imageE} { // the first is never healthy
			w.set(image)
			w.settled()
		}
		r.Image, r.Return = "", &deploys.ReturnTo{Change: w.changes()[0].ID}
	})},
	{"no change to adopt", start(func(w *world, r *deploys.Request) {
		w.settled()
		r.Image, r.Adopt = "", 1
	})},
	{"a change that still rolls out to adopt", start(func(w *world, r *deploys.Request) {
		w.settled()
		w.set(imageF)
		w.settled()
		r.Image, r.Adopt = "", 1
	})},
	{"another change than the one shown to adopt", start(func(w *world, r *deploys.Request) {
		w.settled()
		for _, image := range []string{imageF, imageE} {
			w.set(image)
			w.settled()
		}
		w.complete(api)
		r.Image, r.Adopt = "", w.changes()[1].ID
	})},
	{"a change to adopt that does not run any more", start(func(w *world, r *deploys.Request) {
		w.replacedByFailure()
		r.Image, r.Adopt = "", w.changes()[0].ID
	})},
	{"a change that has lost pods to adopt", start(func(w *world, r *deploys.Request) {
		w.settled()
		w.set(imageF)
		w.complete(api)
		w.settled()
		w.cluster.Update(api, func(r *deploys.Rollout) {
			r.Available, r.Conditions = 1, []deploys.Condition{{Type: "Progressing", Reason: "NewReplicaSetAvailable"}}
		})
		r.Image, r.Adopt = "", w.changes()[0].ID
	})},
	{"no workload", start(func(w *world, _ *deploys.Request) {
		w.cluster.Update(api, func(r *deploys.Rollout) { r.Exists = false })
	})},
	{"no such container", start(func(w *world, _ *deploys.Request) {
		w.cluster.Update(api, func(r *deploys.Rollout) { delete(r.Images, "api"); r.Images["apii"] = "x" })
	})},
	{"something else runs than was shown", start(func(_ *world, r *deploys.Request) { r.Seen.From = "sha256:other" })},
	{"the tag names something else than was shown", start(func(_ *world, r *deploys.Request) { r.Seen.To = "sha256:other" })},
	{"it runs already", start(func(_ *world, r *deploys.Request) { r.Image = "0000001" })},
	{"it is set already", start(func(w *world, r *deploys.Request) {
		w.cluster.Update(api, func(r *deploys.Rollout) { r.Available = 0 })
		r.Image = "0000001"
	})},
	{"what was to be replaced is over", start(func(_ *world, r *deploys.Request) { r.Replaces = 99 })},
	{"another deploy is under way", start(func(w *world, r *deploys.Request) {
		w.deploy(*r)
		r.Image = "def5678"
	})},
	{"the log cannot be written", func(w *world) error {
		w.fill()
		_, err := w.svc.Start(w.Context(), deployOf(api, "latest"))
		w.free()
		return err
	}},

	{"locked", start(func(w *world, _ *deploys.Request) { w.lock(deploys.Scope(api), 4*time.Hour) })},
	{"locked for good", start(func(w *world, _ *deploys.Request) { w.lock(deploys.Scope{Env: "prod"}, 0) })},
	{"all is locked", start(func(w *world, _ *deploys.Request) { w.lock(deploys.Scope{}, 0) })},
	{"a rollback past a lock without a reason", start(func(w *world, r *deploys.Request) {
		d := w.deploy(*r)
		w.lock(deploys.Scope(api), 4*time.Hour)
		r.Image, r.Reason, r.Replaces, r.Return = "", "", d.ID, &deploys.ReturnTo{Deploy: d.ID, Before: true}
	})},
	{"locks cannot be read", start(func(w *world, _ *deploys.Request) { rename(w, "locks", "away") })},
	{"a bad image without a reason", start(func(w *world, r *deploys.Request) {
		marked(w)
		r.Reason = ""
	})},
	{"marks cannot be read", start(func(w *world, _ *deploys.Request) { rename(w, "bad_images", "away") })},
	{"a mark without a reason", start(func(w *world, r *deploys.Request) {
		d := w.deploy(*r)
		w.complete(api)
		w.settle(11 * time.Second)
		r.Image, r.Reason, r.MarkBad, r.Return = "", "", true, &deploys.ReturnTo{Deploy: d.ID, Before: true}
	})},
	{"a mark on what is not known", start(func(w *world, r *deploys.Request) {
		d := w.deploy(*r)
		w.complete(api)
		w.settle(11 * time.Second)
		w.cluster.SetImage(api, "api", "git.example.org/acme/api:stable")
		r.Image, r.MarkBad, r.Return = "", true, &deploys.ReturnTo{Deploy: d.ID}
	})},
	{"a mark on what comes back", start(func(w *world, r *deploys.Request) {
		restart := w.deploy(restartOf(api))
		r.Image, r.MarkBad, r.Replaces, r.Return = "", true, restart.ID, &deploys.ReturnTo{Deploy: restart.ID, Before: true}
	})},
	{"a restart under a lock", start(func(w *world, r *deploys.Request) {
		w.lock(deploys.Scope(api), 0)
		r.Image, r.Restart = "", true
	})},
	{"a bad image to adopt without a reason", start(func(w *world, r *deploys.Request) {
		marked(w)
		w.set(deploystest.Repo + "api:abc1234@" + deploystest.Digest("abc1234"))
		w.complete(api)
		w.settled()
		r.Image, r.Adopt, r.Reason = "", w.changes()[0].ID, ""
	})},

	{"a check that blocks", start(func(w *world, _ *deploys.Request) { w.block("platforms") })},
	{"a block that one may not override", start(func(w *world, r *deploys.Request) {
		w.block("platforms")
		r.Overrides = []string{"platforms"}
	})},
	{"a block overridden without a reason", start(func(w *world, r *deploys.Request) {
		w.block("platforms")
		r.Actor, r.Overrides, r.Reason = root, []string{"platforms"}, " "
	})},

	{"may not lock", lockBy(vera, deploys.Scope(api), "x", 0)},
	{"an app of no environment", lockBy(root, deploys.Scope{App: "api"}, "x", 0)},
	{"a lock without a reason", lockBy(ana, deploys.Scope{Env: "prod"}, " ", 0)},
	{"a lock too long", lockBy(ana, deploys.Scope{Env: "prod"}, "x", 31*24*time.Hour)},
	{"locked already", func(w *world) error {
		w.lock(deploys.Scope(api), 0)
		return lockBy(marta, deploys.Scope(api), "x", 0)(w)
	}},
	{"no such lock", func(w *world) error { return w.svc.Unlock(w.Context(), ana, 77) }},
	{"another's lock", func(w *world) error {
		return w.svc.Unlock(w.Context(), marta, w.lock(deploys.Scope{Env: "prod"}, 0).ID)
	}},
	{"nothing to go back to", func(w *world) error {
		_, _, err := w.svc.WayBack(w.Context(), api, deploys.Version{})
		return err
	}},
	{"no such mark", func(w *world) error { return clearBy(w, ana, 77) }},
	{"may not take the mark off", func(w *world) error {
		marked(w)
		return clearBy(w, vera, w.marks()[0].ID)
	}},
	{"a mark made where one may not look", func(w *world) error {
		marked(w)
		elsewhere := ana
		elsewhere.Grants = []auth.Grant{{Role: auth.Admin, Env: "staging"}}
		return clearBy(w, elsewhere, w.marks()[0].ID)
	}},
}

// Every refusal reads as it stands in testdata/refusals.txt: what, who or since when, and what to do. And every error
// that the domain and the policy can make is among them, so that a new one is written there, and read by somebody.
func TestEveryRefusalIsTold(t *testing.T) {
	var file strings.Builder
	var said []string
	for _, r := range refusals {
		in(t, func(w *world) {
			err := r.ask(w)
			if err == nil {
				t.Errorf("%s: not refused", r.name)
				return
			}
			said = append(said, errs.Public(err))
			fmt.Fprintf(&file, "# %s (%s)\n%s\n\n", r.name, errs.KindOf(err), errs.Public(err))
		})
	}
	errstest.Golden(t, "refusals.txt", file.String(), *update)
	files, err := filepath.Glob("*.go")
	must(t, err)
	sentences := errstest.Sentences(t, append(files, filepath.Join("..", "auth", "policy.go")), nil)
	if len(sentences) < 30 {
		t.Fatalf("only %d sentences were found", len(sentences))
	}
	excused := map[string]bool{}
	for _, s := range sentences {
		if noRefusals[s.Place] != "" {
			excused[s.Place] = true
		} else {
			told(t, s, said)
		}
	}
	for place := range noRefusals {
		if !excused[place] {
			t.Errorf("%s makes no error, and is excused", place)
		}
	}
}

// told asserts that a sentence of the source is among those that were said.
func told(t *testing.T, s errstest.Sentence, said []string) {
	t.Helper()
	switch {
	case s.Format == "":
		t.Errorf("%s: the sentence is not written where the error is made, so nothing holds it to the file", s.Where)
	case !slices.ContainsFunc(said, pattern(t, s.Where, s.Format).MatchString):
		t.Errorf("%s: nobody is told %q in this test: add a case", s.Where, s.Format)
	}
}

// pattern matches what a format can make. One that is nearly all verbs would match anything.
func pattern(t *testing.T, where, format string) *regexp.Regexp {
	t.Helper()
	verb := regexp.MustCompile(`%[sdvq]`)
	letters := strings.IndexFunc(verb.ReplaceAllString(format, ""), unicode.IsLetter) >= 0 && len(verb.ReplaceAllString(format, "")) >= 10
	if !letters {
		t.Errorf("%s: %q has hardly a word of its own", where, format)
	}
	parts := verb.Split(format, -1)
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile(`(?s)^` + strings.Join(parts, `.*`) + `$`)
}
