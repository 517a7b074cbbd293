package deploys_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"deployportal/internal/audit"
	"deployportal/internal/deploys"
	"deployportal/internal/deploys/deploystest"
	"deployportal/internal/errs"
	"deployportal/internal/sqlite"
	"deployportal/migrations"
)

// block makes checks of these names block, beside one that warns.
func (w *world) block(names ...string) {
	checks := []deploys.Check{{Name: "ci", Finding: deploys.Warn, Sentence: "CI failed."}}
	for _, name := range names {
		checks = append(checks, deploys.Check{Name: name, Finding: deploys.Block, Sentence: "The " + name + " do not fit.", Fix: "Mend the " + name + "."})
	}
	w.checks.Say(checks...)
}

// A block refuses, names the check and what to do; warnings and what is not known stop nothing.
func TestBlockRefuses(t *testing.T) {
	in(t, func(w *world) {
		w.block("platforms", "quota")
		req := deployOf(api, "abc1234")
		w.refused(req, errs.Conflict, "Blocked by preflight (platforms, quota): The platforms do not fit. Mend the platforms. The quota do not fit. Mend the quota. An admin can override that with a reason.")
		req.Actor, req.Overrides = root, []string{"platforms", "unheard of"}
		w.refused(req, errs.Conflict, "Blocked by preflight (quota): ")
		w.checks.Say(deploys.Check{Name: "ci", Finding: deploys.Warn}, deploys.Check{Name: "branch", Finding: deploys.NotChecked})
		w.deploy(deployOf(api, "abc1234"))
	})
}

// Only who may overrides, only with a reason, and the entry says what.
func TestOverride(t *testing.T) {
	in(t, func(w *world) {
		w.block("platforms", "quota")
		req := deployOf(api, "abc1234")
		req.Overrides = []string{"platforms", "quota"}
		w.refused(req, errs.Forbidden, "ana may not override checks in prod: this needs the role admin.")
		req.Actor, req.Reason = root, " "
		w.refused(req, errs.Invalid, "A check is overridden only with a reason")
		req.Reason = "the arm node is drained"
		d := w.deploy(req)
		e := w.entries(audit.Filter{DeployID: d.ID})
		if len(e) != 1 || e[0].Detail != "Overridden checks: platforms: The platforms do not fit. quota: The quota do not fit." || e[0].Reason != req.Reason {
			t.Errorf("the entry: %+v", e)
		}
		w.tells(d.ID, deploys.EventTrouble, e[0].Detail)
	})
}

// A plan says all that is known when it is made; an adoption sends nothing and asks nobody, and what the portal does by
// itself after a failure is not held.
func TestPlans(t *testing.T) {
	in(t, func(w *world) {
		d := w.deploy(deployOf(api, "abc1234"))
		p := w.checks.Plans()[0]
		if p.Kind != deploys.KindDeploy || p.App.App != "api" || p.Image.Tag != "abc1234" || p.From.Tag != "0000001" || p.To.Digest != p.Image.Digest || p.Seen.Desired != 3 {
			t.Errorf("the plan of a deploy: %+v", p)
		}
		w.block("platforms")
		w.cluster.Update(api, func(r *deploys.Rollout) { deploystest.Complete(r, time.Now()) })
		w.cluster.Update(api, func(r *deploys.Rollout) {
			for i := range r.Pods {
				c := &r.Pods[i].Containers[0]
				c.State, c.Ready, c.Last = "terminated", false, &deploys.Exit{Code: 1, Finished: time.Now()}
			}
		})
		w.settle(time.Minute)
		if d = w.get(d.ID); d.Status != deploys.Failed {
			t.Fatalf("%s %s", d.Status, d.Sentence)
		}
		answers, err := w.svc.Answers(w.Context(), d)
		must(t, err)
		if len(answers) != 1 || len(w.checks.Plans()) != 1 {
			t.Errorf("%d answers, %d plans: an automatic rollback is not checked", len(answers), len(w.checks.Plans()))
		}
	})
}

// A tag's digest is kept from its first deploy on, whatever it names later.
func TestFirstSeen(t *testing.T) {
	in(t, func(w *world) {
		past := deploys.NewPast(w.db)
		first := func() deploys.FirstSeen {
			f, err := past.FirstSeen(w.Context(), deploystest.Repo+"api", "abc1234")
			must(t, err)
			return f
		}
		if f := first(); f != (deploys.FirstSeen{}) {
			t.Errorf("before any deploy: %+v", f)
		}
		w.deploy(deployOf(api, "abc1234"))
		began := time.Now().UTC()
		w.complete(api)
		w.settle(11 * time.Second)
		w.registry.Move("abc1234", deploystest.Digest("moved"))
		w.deploy(deployOf(api, "abc1234"))
		if f := first(); f.Digest != deploystest.Digest("abc1234") || !f.At.Equal(began) {
			t.Errorf("after two: %+v", f)
		}
		ctx, cancel := context.WithCancel(w.Context())
		cancel()
		if _, err := past.FirstSeen(ctx, "x", "y"); !errors.Is(err, context.Canceled) {
			t.Errorf("a database that does not answer: %v", err)
		}
	})
}

// What was deployed before digests of tags were kept counts from the earliest on.
func TestFirstSeenOfBefore(t *testing.T) {
	in(t, func(w *world) {
		w.deploy(deployOf(api, "abc1234"))
		began := time.Now().UTC()
		w.complete(api)
		w.settle(11 * time.Second)
		w.registry.Move("abc1234", deploystest.Digest("moved"))
		w.deploy(deployOf(api, "abc1234"))
		text, err := migrations.Files.ReadFile("0005_preflight.sql")
		must(t, err)
		_, fill, found := strings.Cut(string(text), "INSERT INTO tags_seen")
		if !found {
			t.Fatal("the migration fills nothing in")
		}
		must(t, w.db.Write(w.Context(), func(tx *sqlite.Tx) error {
			if _, err := tx.Exec(w.Context(), `DELETE FROM tags_seen`); err != nil {
				return err
			}
			_, err := tx.Exec(w.Context(), "INSERT INTO tags_seen"+fill)
			return err
		}))
		f, err := deploys.NewPast(w.db).FirstSeen(w.Context(), deploystest.Repo+"api", "abc1234")
		must(t, err)
		if f.Digest != deploystest.Digest("abc1234") || !f.At.Equal(began) {
			t.Errorf("%+v", f)
		}
	})
}

// What runs, what is coming and what ran well is kept, newest first, once each, and never what is marked as bad.
func TestKeep(t *testing.T) {
	in(t, func(w *world) {
		past := deploys.NewPast(w.db)
		for _, tag := range []string{"aaaaaa1", "aaaaaa2", "aaaaaa3"} {
			w.deploy(deployOf(api, tag))
			w.complete(api)
			w.settle(11 * time.Second)
		}
		good, err := past.Good(w.Context(), api, 2, deploys.Version{Digest: deploystest.Digest("aaaaaa3")})
		must(t, err)
		if len(good) != 2 || good[0].Tag != "aaaaaa2" || good[1].Tag != "aaaaaa1" {
			t.Errorf("what ran well: %+v", good)
		}
		w.deploy(deployOf(api, "aaaaaa4"))
		kept, err := past.Keep(w.Context(), 2)
		must(t, err)
		var got []string
		for _, k := range kept {
			if k.Target == api {
				got = append(got, k.Tag+" "+k.Why)
			}
		}
		if want := []string{"aaaaaa4 is being deployed", "aaaaaa3 ran well", "aaaaaa2 ran well"}; !slices.Equal(got, want) {
			t.Errorf("kept %q, want %q", got, want)
		}
	})
}
