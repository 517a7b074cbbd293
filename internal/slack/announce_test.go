package slack

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// TestAnnounceLongRollout: a rollout of 35 minutes is one message that is right all the way, and at its end.
func TestAnnounceLongRollout(t *testing.T) {
	onStage(t, func(s *stage) {
		s.deploy(inProd, "abc1234")
		began := time.Now()
		s.pass(time.Second)
		s.reads(s.only(deploysChannel), ":large_yellow_circle: *Rolling out:* api to `abc1234` in prod", "Fix &lt;the&gt; parser &amp; more", "asked for by ana in the browser")
		s.cluster.Update(inProd, func(r *deploys.Rollout) { r.Desired = 5 })
		for n := range 5 {
			for i := range int32(50) { // every 8 s something else
				s.progress(inProd, n, i+1)
				s.pass(8 * time.Second)
			}
			s.reads(s.only(deploysChannel), fmt.Sprintf("%d of 5 pods ready.", n), "starts: startup probe GET /health on port 8000 gave HTTP 503, at least 50 times")
		}
		s.pass(time.Until(began.Add(35*time.Minute - 20*time.Second)))
		s.cluster.Update(inProd, func(r *deploys.Rollout) { r.Pods = nil })
		s.finish(inProd)
		s.pass(5 * time.Second)
		m := s.only(deploysChannel)
		s.reads(m, ":large_green_circle: *Succeeded:*", "5 of 5 pods run abc1234 and stayed well for 10 s.", "Digest proven. Took 34 min 5")
		if n := len(m.Edits); n < 200 {
			t.Errorf("%d edits: it was not followed", n)
		}
		if thread := s.slack.Thread(m); len(thread) != 1 || !strings.Contains(thread[0].Seen(), "What happened") {
			t.Errorf("thread: %+v", thread)
		}
		if no := s.refusals(); len(no) > 0 {
			t.Errorf("Slack refused: %v", no)
		}
		s.closed()
	})
}

// TestAnnounceOnlyNews: what was before Slack was configured is not told, what is quick is told, and nothing twice.
func TestAnnounceOnlyNews(t *testing.T) {
	onStage(t, func(s *stage) {
		s.stops[1]() // the announcer
		s.must(s.forgetSlack())
		s.deploy(inProd, "0000002")
		s.finish(inProd)
		s.deploy(inStage, "0000002")
		s.startAnnouncer()
		s.pass(time.Minute)
		if all := s.slack.Messages(deploysChannel); len(all) != 0 {
			t.Fatalf("told of what was before: %+v", all)
		}
		s.cluster.BeforeApply = func(deploys.Change) error { return errs.New(errs.Forbidden, "The portal may not patch deployments.") }
		s.deploy(inProd, "0000003") // errored at once
		s.deploy(inProd, "0000004")
		s.pass(time.Minute)
		all := s.slack.Messages(deploysChannel)
		if len(all) != 2 {
			t.Fatalf("%+v", all)
		}
		s.reads(all[0], ":red_circle: *Errored:* api to `0000003`", "The portal may not patch deployments.", "Nothing was changed in the cluster.", "[Open]")
		s.reads(all[1], "`0000004`")
		s.finish(inStage) // no channel there: nobody is told
		if n := len(s.slack.Messages(deploysChannel)); n != 2 {
			t.Errorf("%d messages", n)
		}
		s.closed()
	})
}

// TestAnnounceWhereAsked: a deploy that was asked for in a channel is told there, also before its plan knows of it.
func TestAnnounceWhereAsked(t *testing.T) {
	onStage(t, func(s *stage) {
		s.asked(askedChannel, "abc1234")
		s.pass(time.Second)
		s.reads(s.only(askedChannel), "asked for by ana in Slack")
		s.finish(inProd)
		s.reads(s.only(askedChannel), "*Succeeded:*")
		if n := len(s.slack.Messages(deploysChannel)); n != 0 {
			t.Errorf("told in the environment's channel too")
		}
		s.closed()
	})
}

// TestAnnounceAutomaticRollback: the rollback by the portal has a message of its own beside that of the failure, which leads to it.
func TestAnnounceAutomaticRollback(t *testing.T) {
	onStage(t, func(s *stage) {
		s.asked(askedChannel, "abc1234")
		s.pass(11*time.Minute + 5*time.Second)
		all := s.slack.Messages(askedChannel)
		if len(all) != 2 {
			t.Fatalf("%+v", all)
		}
		s.reads(all[0], ":red_circle: *Failed:* api to `abc1234` in prod", "<https://deploy.example.org/deploys/2|Deploy 2> is rolling it back to `0000001` now.", "[Open]")
		if all[0].Button(actionRollback) != nil {
			t.Errorf("Roll back is offered although it happens")
		}
		s.reads(all[1], ":large_yellow_circle: *Rolling out:* api back to `0000001` in prod", "by the portal itself", "in answer to <https://deploy.example.org/deploys/1|deploy 1>")
		s.finish(inProd)
		s.pass(lookAgain)
		all = s.slack.Messages(askedChannel)
		s.reads(all[0], "has rolled it back to `0000001`")
		s.reads(all[1], ":large_green_circle: *Succeeded:*")
		if len(s.slack.Thread(all[0])) != 1 || len(s.slack.Thread(all[1])) != 1 {
			t.Errorf("the details are not in both threads")
		}
		s.closed()
	})
}

// TestAnnounceRolledBackLater: what a failure says of the way back is true also after a person took it; a message that was
// deleted after its end is not posted again for that.
func TestAnnounceRolledBackLater(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		onStage(t, func(s *stage) {
			s.commits.Answer(deploys.Migrations{Behind: []deploys.Touched{{Path: "migrations/7.sql"}}}, nil)
			d := s.deploy(inProd, "abc1234")
			for d.Active() { // and not much longer: the next look is that for the rollback
				s.pass(time.Second)
				var err error
				d, err = s.svc.Get(s.Context(), d.ID)
				s.must(err)
			}
			s.pass(2 * leastPace)
			m := s.only(deploysChannel)
			s.reads(m, "*Not rolled back by itself:* migrations/7.sql was touched", "[Roll back to 0000001]", "Roll back, which also marks `abc1234` as bad")
			if b := m.Button(actionRollback); b == nil || b.Value != "1" {
				t.Fatalf("%+v", b)
			}
			s.closed()
			if deleted {
				s.slack.Delete(m)
			}
			s.start(deploys.Request{Target: inProd, Return: &deploys.ReturnTo{Deploy: d.ID, Before: true}, Actor: ana, MarkBad: true})
			s.pass(5 * time.Second)
			if deleted {
				s.reads(s.only(deploysChannel), "api back to `0000001`")
				return
			}
			m = s.slack.Messages(deploysChannel)[0]
			s.reads(m, "Deploy 2> is rolling it back to `0000001` now.")
			if m.Button(actionRollback) != nil {
				t.Error("Roll back is still offered")
			}
			s.finish(inProd)
			s.pass(lookAgain)
			s.reads(s.slack.Messages(deploysChannel)[0], "Deploy 2> has rolled it back to `0000001`.")
			if n := len(s.slack.Thread(m)); n != 1 {
				t.Errorf("%d replies in the thread: its details are told again", n)
			}
			s.closed()
		})
	}
}

// TestAnnounceLongAgo: what ended long before anybody looked is not told, unless it was asked for in Slack.
func TestAnnounceLongAgo(t *testing.T) {
	onStage(t, func(s *stage) {
		s.stops[1]()
		s.deploy(inProd, "0000002")
		s.finish(inProd)
		s.asked(askedChannel, "0000003")
		s.finish(inProd)
		s.pass(2 * tooOld)
		s.startAnnouncer()
		s.pass(time.Minute)
		if n := len(s.slack.Messages(deploysChannel)); n != 0 {
			t.Errorf("%d messages", n)
		}
		s.reads(s.only(askedChannel), "*Succeeded:*")
		s.closed()
	})
}

// TestAnnouncePace: many messages are edited more slowly, for Slack takes 50 edits a minute of all together.
func TestAnnouncePace(t *testing.T) {
	for n, want := range map[int64]time.Duration{0: leastPace, 1: leastPace, 5: 6 * time.Second, 1000: mostPace} {
		a := newAnnouncer(Options{}, nil)
		for i := range n {
			a.follows[i] = true
		}
		if a.pace() != want {
			t.Errorf("%d messages: %s, want %s", n, a.pace(), want)
		}
	}
}

// TestAnnounceAcrossRestart: a portal that stops amid a rollout leaves its message to the next, which does not post another.
func TestAnnounceAcrossRestart(t *testing.T) {
	onStage(t, func(s *stage) {
		s.deploy(inProd, "abc1234")
		s.progress(inProd, 1, 2)
		s.pass(time.Minute)
		s.reads(s.only(deploysChannel), "1 of 3 pods ready.")
		s.stopAll()
		s.pass(3 * time.Minute)
		s.startService()
		s.startAnnouncer()
		s.progress(inProd, 2, 2)
		s.pass(5 * time.Second)
		s.reads(s.only(deploysChannel), "2 of 3 pods ready.")
		s.cluster.Update(inProd, func(r *deploys.Rollout) { r.Pods = nil })
		s.finish(inProd)
		s.reads(s.only(deploysChannel), "*Succeeded:*")
		s.closed()
	})
}

// TestAnnounceEndedMeanwhile: a deploy that ended while nobody announced is brought to the truth.
func TestAnnounceEndedMeanwhile(t *testing.T) {
	onStage(t, func(s *stage) {
		s.deploy(inProd, "abc1234")
		s.pass(time.Minute)
		s.stops[1]()
		s.finish(inProd)
		s.deploy(inProd, "0000005") // and another has begun
		s.startAnnouncer()
		s.pass(5 * time.Second)
		all := s.slack.Messages(deploysChannel)
		if len(all) != 2 {
			t.Fatalf("%+v", all)
		}
		s.reads(all[0], "*Succeeded:* api to `abc1234`")
		s.reads(all[1], "*Rolling out:* api to `0000005`")
	})
}

// TestAnnounceSuperseded: what another took the place of says so.
func TestAnnounceSuperseded(t *testing.T) {
	onStage(t, func(s *stage) {
		d := s.deploy(inProd, "abc1234")
		s.pass(5 * time.Second)
		s.start(deploys.Request{Target: inProd, Image: "abc1235", Actor: ana, Replaces: d.ID, Reason: "hurry"})
		s.pass(5 * time.Second)
		all := s.slack.Messages(deploysChannel)
		if len(all) != 2 {
			t.Fatalf("%+v", all)
		}
		s.reads(all[0], ":white_circle: *Superseded:*")
		s.reads(all[1], "took the place of <https://deploy.example.org/deploys/1|deploy 1>, “hurry”")
		synctest.Wait()
	})
}

// forgetSlack makes the portal one that never knew of Slack.
func (s *stage) forgetSlack() error {
	return s.exec(`DELETE FROM slack_announced`)
}

// TestAnnounceUnknownPost: a portal that died before it could store what it posted posts a second time, and follows that one.
func TestAnnounceUnknownPost(t *testing.T) {
	onStage(t, func(s *stage) {
		s.deploy(inProd, "abc1234")
		s.pass(5 * time.Second)
		s.stops[1]()
		s.must(s.exec(`UPDATE slack_messages SET ts = '', said = NULL`))
		s.startAnnouncer()
		s.finish(inProd)
		all := s.slack.Messages(deploysChannel)
		if len(all) != 2 {
			t.Fatalf("%d messages", len(all))
		}
		s.reads(all[0], "*Rolling out:*")
		s.reads(all[1], "*Succeeded:*")
		s.closed()
	})
}
