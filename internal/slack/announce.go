package slack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"deployportal/internal/deploys"
)

const (
	leastPace = 2 * time.Second         // between two edits of one message
	mostEdits = 1200 * time.Millisecond // between two edits of any: Slack takes 50 in a minute
	mostPace  = 30 * time.Second
	lookAgain = 10 * time.Second // at a deploy that rang no bell: a trouble of the portal rings none
	sayLimit  = 5 * time.Second  // of one call, waiting included; what is under way at the end is let finish
	leastRest = 2 * time.Second  // after a call that failed, doubled with each
	mostRest  = time.Minute
	leastLook = 200 * time.Millisecond // between two looks for new deploys
	mostCalls = 8                      // at once
	tooOld    = time.Hour
	fewNews   = 50 // deploys that are decided about in one look
)

// announcer is a reader of deploys, like any stream: it keeps one message a deploy true.
//
// The row of a message is written before it is posted, and its ts after: a portal that dies in between, or gets no answer,
// posts it a second time, and the first stays as it was. The same holds for the details in its thread. Everything else is
// said once.
//
// Each message has a goroutine of its own, so a channel that answers slowly, or not at all, holds up no other. What a message
// says is made anew from the deploy whenever it is said; so what came while Slack was away, or asked to wait, is left out,
// and the end is never lost. A message that somebody deleted is not posted again while the deploy goes on: they did not want
// it. Its end is said, once, in a new one.
type announcer struct {
	Options
	talker  talker
	log     *slog.Logger
	calls   chan struct{} // one in it for each call under way
	follows atomic.Int64  // messages that are followed

	mu       sync.Mutex
	followed map[int64]bool // by deploy; false: not any more, since the last look
}

func newAnnouncer(o Options, t talker) *announcer {
	a := &announcer{Options: o, talker: t, log: o.Log, calls: make(chan struct{}, mostCalls), followed: map[int64]bool{}}
	if a.log == nil {
		a.log = slog.Default()
	}
	if a.Now == nil {
		a.Now = time.Now
	}
	return a
}

// run announces until ctx ends, and returns when the calls that were under way have ended: after sayLimit at most.
func (a *announcer) run(ctx context.Context) error {
	bell, stop := a.Deploys.Listen(0)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		rest := leastLook
		a.forget()
		rows, err := a.news(ctx)
		if err != nil && ctx.Err() == nil {
			a.log.Error("slack: it cannot be read what is to be announced", "err", err)
			rest = leastRest
		} else if err == nil {
			a.takeUp(ctx, &wg, rows)
		}
		if !pauseFor(ctx, rest, nil) || !pauseFor(ctx, lookAgain, bell) {
			return nil
		}
	}
}

// takeUp follows the messages that are not followed yet.
func (a *announcer) takeUp(ctx context.Context, wg *sync.WaitGroup, rows []following) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range rows {
		if _, followed := a.followed[f.deploy]; followed {
			continue
		}
		a.followed[f.deploy] = true
		a.follows.Add(1)
		wg.Go(func() {
			a.follow(ctx, f)
			a.follows.Add(-1)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.followed[f.deploy] = false
		})
	}
}

// forget lets messages that are not followed any more be taken up again. It is called before the open ones are read: what is
// read then knows what their followers have stored.
func (a *announcer) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.followed, func(_ int64, still bool) bool { return !still })
}

// pauseFor waits so long, or until a bell rings. False: ctx has ended.
func pauseFor(ctx context.Context, d time.Duration, bell <-chan struct{}) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-bell:
	case <-ctx.Done():
		return false
	}
	return true
}

// news decides about deploys that are new, and gives every message that is to be followed.
func (a *announcer) news(ctx context.Context) ([]following, error) {
	last, err := a.announced(ctx)
	if err != nil {
		return nil, err
	}
	for {
		list, err := a.Deploys.After(ctx, last, fewNews)
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			channel, asked, err := a.channelOf(ctx, d)
			if err != nil {
				return nil, err
			}
			if !asked && !d.Active() && a.Now().Sub(d.Finished) > tooOld {
				channel = "" // Slack was not configured for a while: nobody wants to be told of last month now
			}
			back, err := a.undone(ctx, d)
			if err != nil {
				return nil, err
			}
			if err := a.decide(ctx, d.ID, channel, back); err != nil {
				return nil, err
			}
			last = d.ID
		}
		if len(list) < fewNews {
			return a.open(ctx)
		}
	}
}

// undone is the deploy that d, a rollback, may be about: what it says of a way back is not true any more. 0: none.
func (a *announcer) undone(ctx context.Context, d deploys.Deploy) (int64, error) {
	if d.Kind != deploys.KindRollback {
		return 0, nil
	}
	before, err := a.Deploys.History(ctx, d.Target, d.ID, 1)
	if err != nil || len(before) == 0 {
		return 0, err
	}
	return before[0].ID, nil
}

// follow keeps one message true until it says the end.
func (a *announcer) follow(ctx context.Context, f following) {
	bell, stop := a.Deploys.Listen(f.deploy)
	defer stop()
	rest, told := leastRest, ""
	for {
		said, err := a.step(ctx, &f)
		var limit *limited
		switch {
		case ctx.Err() != nil || f.done && err == nil:
			return
		case errors.As(err, &limit):
			if !pauseFor(ctx, limit.after, nil) {
				return
			}
		case err != nil:
			if err.Error() != told {
				told = err.Error()
				a.log.Warn("slack: the message of a deploy cannot be kept true; it is tried again", "deploy", f.deploy, "channel", f.channel, "err", err)
			}
			if !pauseFor(ctx, rest, nil) {
				return
			}
			rest = min(2*rest, mostRest)
		default:
			rest, told = leastRest, ""
			if said && !pauseFor(ctx, a.pace(), nil) || !pauseFor(ctx, lookAgain, bell) {
				return
			}
		}
	}
}

// pace is the time between two edits of one message: longer when many are followed, so that all together stay within what
// Slack takes.
func (a *announcer) pace() time.Duration {
	return min(max(leastPace, time.Duration(a.follows.Load())*mostEdits), mostPace)
}

// step brings a message to what is true now, and tells whether it had to say something.
func (a *announcer) step(ctx context.Context, f *following) (said bool, err error) {
	if f.done { // it could not be stored before
		return false, a.save(ctx, *f)
	}
	t, err := a.telling(ctx, f.deploy)
	if err != nil {
		return false, err
	}
	if f.gone && f.ts == "" && !t.settled() {
		return false, nil
	}
	m := sayLive(t)
	sum, err := sumOf(m)
	if err != nil {
		return false, err
	}
	if !bytes.Equal(sum, f.said) {
		if err := a.say(ctx, f, t, m); err != nil || f.done || f.ts == "" {
			return true, err
		}
		f.said, said = sum, true
		if err := a.save(ctx, *f); err != nil {
			return said, err
		}
	}
	if !t.settled() {
		return said, nil
	}
	if !f.thread {
		if err := a.details(ctx, f, t); err != nil {
			return true, err
		}
	}
	f.thread, f.done = true, true
	if err := a.save(ctx, *f); err != nil {
		return said, err
	}
	return said, a.stillTrue(ctx, f)
}

// stillTrue opens a message again that is done and not true any more: a rollback that began meanwhile may have opened it just
// before it was stored that it is done.
func (a *announcer) stillTrue(ctx context.Context, f *following) error {
	t, err := a.telling(ctx, f.deploy)
	if err != nil {
		return err
	}
	sum, err := sumOf(sayLive(t))
	if err != nil || bytes.Equal(sum, f.said) {
		return err
	}
	f.done = false
	return a.save(ctx, *f)
}

// sumOf tells one message from another.
func sumOf(m Message) ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding a message: %w", err)
	}
	sum := sha256.Sum256(text)
	return sum[:], nil
}

// say posts a message, or edits it. Where it cannot be edited it is posted anew when t is the end; where the channel takes
// nothing, in that of the environment; and where that takes nothing either it is given up.
func (a *announcer) say(ctx context.Context, f *following, t telling, m Message) error {
	err := a.call(ctx, func(ctx context.Context) (err error) {
		if f.ts != "" {
			return a.talker.update(ctx, f.channel, f.ts, m)
		}
		f.ts, err = a.talker.post(ctx, f.channel, "", m)
		return err
	})
	switch home := a.env(t.deploy.Target.Env).Channel; {
	case errors.Is(err, errGone) && f.thread: // its end was told before
		f.done = true
		return a.save(ctx, *f)
	case errors.Is(err, errGone) && f.ts != "":
		a.log.Info("slack: the message of a deploy was deleted; only its end is said", "deploy", f.deploy, "channel", f.channel)
		f.ts, f.said, f.gone = "", nil, true
		if err := a.save(ctx, *f); err != nil || !t.settled() {
			return err
		}
		return a.say(ctx, f, t, m)
	case errors.Is(err, errClosed) && home != "" && home != f.channel:
		a.log.Info("slack: a channel takes no message; that of the environment is told", "deploy", f.deploy, "channel", f.channel, "err", err)
		f.channel, f.ts, f.said = home, "", nil
		if err := a.save(ctx, *f); err != nil {
			return err
		}
		return a.say(ctx, f, t, m)
	case errors.Is(err, errClosed):
		a.log.Warn("slack: a deploy cannot be announced", "deploy", f.deploy, "channel", f.channel, "err", err)
		f.done = true
		return a.save(ctx, *f)
	}
	return err
}

// details puts into the thread how the deploy went. A thread that cannot be written is no reason to try for ever.
func (a *announcer) details(ctx context.Context, f *following, t telling) error {
	events, err := a.Deploys.Events(ctx, f.deploy, 0)
	if err != nil {
		return err
	}
	for _, m := range sayDetails(t, events)[f.details:] {
		err := a.call(ctx, func(ctx context.Context) error {
			_, err := a.talker.post(ctx, f.channel, f.ts, m)
			return err
		})
		switch {
		case errors.Is(err, errGone) || errors.Is(err, errClosed) || errors.Is(err, errContent):
			a.log.Warn("slack: the details of a deploy cannot be told", "deploy", f.deploy, "channel", f.channel, "err", err)
			return nil
		case err != nil:
			return err
		}
		f.details++
	}
	return nil
}

// call asks Slack, not too often at once. What has begun is not cut by the end of ctx, or nobody would know whether it was said.
func (a *announcer) call(ctx context.Context, f func(context.Context) error) error {
	select {
	case a.calls <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.calls }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sayLimit)
	defer cancel()
	return f(ctx)
}
