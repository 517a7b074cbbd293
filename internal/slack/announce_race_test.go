package slack

import (
	"context"
	"strings"
	"testing"
	"time"

	"deployportal/internal/deploys"
	"deployportal/internal/errs"
)

// leftToPeople has the failures of a stage rolled back by nobody but people.
func (s *stage) leftToPeople() {
	s.commits.Answer(deploys.Migrations{Behind: []deploys.Touched{{Path: "migrations/7.sql"}}}, nil)
}

// rolledBack asserts that the first message knows of the rollback, and that nothing is left to say.
func (s *stage) rolledBack() {
	s.Helper()
	s.pass(time.Minute)
	s.finish(inProd)
	s.pass(time.Minute)
	all := s.slack.Messages(deploysChannel)
	if len(all) != 2 {
		s.Fatalf("%d messages\n%s", len(all), s.log.String())
	}
	s.reads(all[0], "has rolled it back to `0000001`")
	if all[0].Button(actionRollback) != nil {
		s.Errorf("Roll back is offered although it is done")
	}
	s.closed()
}

// TestAnnounceRolledBackAtOnce: a person who is quick is told of in the message of the failure all the same.
func TestAnnounceRolledBackAtOnce(t *testing.T) {
	onStage(t, func(s *stage) {
		s.leftToPeople()
		d := s.deploy(inProd, "abc1234")
		for !s.over(d.ID) {
			s.pass(100 * time.Millisecond)
		}
		s.pass(3 * time.Second)
		s.closed() // its end is told; no look for news lies between that and the rollback
		s.start(deploys.Request{Target: inProd, Return: &deploys.ReturnTo{Deploy: d.ID, Before: true}, Actor: ana})
		s.rolledBack()
	})
}

// slowly is a talker whose calls take a while.
type slowly struct {
	talker
	by time.Duration
}

func (s slowly) post(ctx context.Context, channel, thread string, m Message) (string, error) {
	pauseFor(ctx, s.by, nil)
	return s.talker.post(ctx, channel, thread, m)
}

func (s slowly) update(ctx context.Context, channel, ts string, m Message) error {
	pauseFor(ctx, s.by, nil)
	return s.talker.update(ctx, channel, ts, m)
}

// TestAnnounceRolledBackMeanwhile: so is one who rolls back while the end is being told.
func TestAnnounceRolledBackMeanwhile(t *testing.T) {
	onStage(t, func(s *stage) {
		s.stops[1]()
		s.talker = func(t talker) talker { return slowly{t, 1500 * time.Millisecond} }
		s.startAnnouncer()
		s.leftToPeople()
		d := s.deploy(inProd, "abc1234")
		for !s.over(d.ID) {
			s.pass(100 * time.Millisecond)
		}
		s.pass(500 * time.Millisecond) // its end is on the way to Slack
		s.start(deploys.Request{Target: inProd, Return: &deploys.ReturnTo{Deploy: d.ID, Before: true}, Actor: ana})
		s.rolledBack()
	})
}

func (s *stage) over(id int64) bool {
	s.Helper()
	d, err := s.svc.Get(s.Context(), id)
	s.must(err)
	return !d.Active()
}

// faulty is a catalog that cannot do what it is for.
type faulty struct{ Catalog }

func (faulty) CachedCommit(string, string) (deploys.Commit, bool) { panic("no such commit") }

// TestAnnouncePanic: a message that cannot be made ends neither the portal nor the other messages.
func TestAnnouncePanic(t *testing.T) {
	onStage(t, func(s *stage) {
		s.stops[1]()
		s.catalog = faulty{}
		s.startAnnouncer()
		s.deploy(inProd, "abc1234")
		s.pass(time.Minute)
		if n := strings.Count(s.log.String(), "slack: panic"); n != 1 {
			t.Errorf("told %d times:\n%s", n, s.log.String())
		}
		s.stops[2]()
		s.catalog = subjects{}
		s.startAnnouncer() // the next portal has no such fault
		s.pass(5 * time.Second)
		s.reads(s.only(deploysChannel), "*Rolling out:*")
	})
}

// TestAnnounceRolledBackAfterAnother: nor does a deploy in between, of which nothing came, hide it.
func TestAnnounceRolledBackAfterAnother(t *testing.T) {
	onStage(t, func(s *stage) {
		s.leftToPeople()
		d := s.deploy(inProd, "abc1234")
		for !s.over(d.ID) {
			s.pass(time.Second)
		}
		s.pass(time.Minute)
		s.cluster.BeforeApply = func(deploys.Change) error { return errs.New(errs.Forbidden, "Not now.") }
		s.deploy(inProd, "0000003")
		s.pass(time.Minute)
		s.cluster.BeforeApply = nil
		s.start(deploys.Request{Target: inProd, Return: &deploys.ReturnTo{Deploy: d.ID, Before: true}, Actor: ana})
		s.finish(inProd)
		s.pass(time.Minute)
		m := s.slack.Messages(deploysChannel)[0]
		s.reads(m, "has rolled it back to `0000001`")
		if m.Button(actionRollback) != nil {
			t.Errorf("Roll back is offered although it is done")
		}
		s.closed()
	})
}

// TestAnnounceRolledBackInAClosedChannel: a failure that was told to its end is not told again elsewhere for a rollback.
func TestAnnounceRolledBackInAClosedChannel(t *testing.T) {
	onStage(t, func(s *stage) {
		s.leftToPeople()
		d := s.asked(askedChannel, "abc1234")
		for !s.over(d.ID) {
			s.pass(time.Second)
		}
		s.pass(time.Minute)
		s.slack.Archive(askedChannel)
		s.start(deploys.Request{Target: inProd, Return: &deploys.ReturnTo{Deploy: d.ID, Before: true}, Actor: ana})
		s.finish(inProd)
		s.pass(time.Minute)
		s.reads(s.only(deploysChannel), "api back to `0000001`")
		s.closed()
	})
}
