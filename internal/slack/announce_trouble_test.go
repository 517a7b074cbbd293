package slack

import (
	"context"
	"strings"
	"testing"
	"time"

	"deployportal/internal/deploys"
)

// TestAnnounceRateLimited: while Slack asks to wait nothing is asked of it; then the newest is said, and what lay between is not.
func TestAnnounceRateLimited(t *testing.T) {
	onStage(t, func(s *stage) {
		s.deploy(inProd, "abc1234")
		s.pass(5 * time.Second)
		s.slack.Limit("chat.update", 30*time.Second)
		before := len(s.slack.Calls())
		for i := range int32(10) {
			s.progress(inProd, 1, i+1)
			s.pass(2900 * time.Millisecond)
		}
		if n := len(s.slack.Calls()) - before; n != 1 {
			t.Errorf("%d calls while it asked to wait, want 1", n)
		}
		s.pass(3 * time.Second)
		m := s.only(deploysChannel)
		s.reads(m, "at least 10 of 30 tries")
		if len(m.Edits) > 2 {
			t.Errorf("%d edits, want the newest state alone", len(m.Edits))
		}
	})
}

// TestAnnounceDeleted: a message that somebody deleted is not posted again, but the end is.
func TestAnnounceDeleted(t *testing.T) {
	onStage(t, func(s *stage) {
		s.deploy(inProd, "abc1234")
		s.pass(5 * time.Second)
		s.slack.Delete(s.only(deploysChannel))
		s.progress(inProd, 1, 1)
		s.pass(time.Minute)
		s.progress(inProd, 2, 1)
		s.pass(time.Minute)
		if n := len(s.slack.Messages(deploysChannel)); n != 0 {
			t.Fatalf("posted again while it goes on")
		}
		s.stops[1]()
		s.startAnnouncer() // the next portal knows it too
		s.pass(time.Minute)
		if n := len(s.slack.Messages(deploysChannel)); n != 0 {
			t.Fatalf("posted again by the next portal")
		}
		s.cluster.Update(inProd, func(r *deploys.Rollout) { r.Pods = nil })
		s.finish(inProd)
		m := s.only(deploysChannel)
		s.reads(m, "*Succeeded:*")
		if len(s.slack.Thread(m)) != 1 {
			t.Errorf("no details in its thread")
		}
		s.closed()
	})
}

// TestAnnounceChannelArchived: the channel of the environment stands in for one that takes nothing; then it is given up.
func TestAnnounceChannelArchived(t *testing.T) {
	onStage(t, func(s *stage) {
		s.asked(askedChannel, "abc1234")
		s.pass(5 * time.Second)
		s.slack.Archive(askedChannel)
		s.progress(inProd, 1, 1)
		s.pass(5 * time.Second)
		s.reads(s.only(deploysChannel), "1 of 3 pods ready.")
		s.slack.Kick(deploysChannel)
		s.slack.Archive(deploysChannel)
		s.progress(inProd, 2, 1)
		s.pass(time.Minute)
		s.closed()
		if n := strings.Count(s.log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings, want 1:\n%s", n, s.log.String())
		}
		s.progress(inProd, 2, 2)
		calls := len(s.slack.Calls())
		s.pass(3 * time.Minute)
		if n := len(s.slack.Calls()); n != calls {
			t.Errorf("%d more calls after it was given up", n-calls)
		}
	})
}

// TestAnnounceSlackAway: an hour without Slack loses nothing, holds up nobody, and is not spent on knocking.
func TestAnnounceSlackAway(t *testing.T) {
	onStage(t, func(s *stage) {
		s.deploy(inProd, "abc1234")
		s.progress(inProd, 1, 1)
		s.pass(5 * time.Second)
		s.slack.SetDown(true)
		s.progress(inProd, 2, 1)
		s.pass(4 * time.Minute)
		s.cluster.Update(inProd, func(r *deploys.Rollout) { r.Pods = nil })
		s.finish(inProd) // the deploy itself goes on
		s.pass(51 * time.Minute)
		d := s.deploy(inProd, "0000006")
		s.pass(5 * time.Minute)
		away := 0
		for _, c := range s.slack.Calls() {
			if c.Error == "down" {
				away++
			}
		}
		if away < 30 || away > 90 {
			t.Errorf("%d calls while Slack was away", away)
		}
		s.slack.SetDown(false)
		s.pass(mostRest + 5*time.Second)
		all := s.slack.Messages(deploysChannel)
		if len(all) != 2 {
			t.Fatalf("%+v", all)
		}
		s.reads(all[0], "*Succeeded:* api to `abc1234`")
		s.reads(all[1], d.To.Short())
		if n := strings.Count(s.log.String(), "level=WARN"); n > 4 {
			t.Errorf("%d warnings:\n%s", n, s.log.String())
		}
	})
}

// stuckIn is a talker that gets no answer in one channel.
type stuckIn struct {
	talker
	channel string
}

func (s stuckIn) post(ctx context.Context, channel, thread string, m Message) (string, error) {
	if channel == s.channel {
		<-ctx.Done()
		return "", ctx.Err()
	}
	return s.talker.post(ctx, channel, thread, m)
}

// TestAnnounceStuckChannel: a channel that does not answer holds up no other, nor the end of the portal beyond its time.
func TestAnnounceStuckChannel(t *testing.T) {
	onStage(t, func(s *stage) {
		s.stops[1]()
		s.envs = append(s.envs, Env{Name: "staging", Channel: askedChannel})
		s.talker = func(t talker) talker { return stuckIn{t, askedChannel} }
		stop := s.startAnnouncer()
		s.deploy(inStage, "0000002")
		s.pass(time.Second)
		s.deploy(inProd, "0000002")
		s.pass(5 * time.Second)
		s.reads(s.only(deploysChannel), "*Rolling out:*")
		s.pass(time.Minute)
		s.start(deploys.Request{Target: inStage, Image: "0000003", Actor: ana, Replaces: 1})
		began := time.Now()
		stop()
		if took := time.Since(began); took > sayLimit || took == 0 {
			t.Errorf("the end took %s", took)
		}
	})
}
