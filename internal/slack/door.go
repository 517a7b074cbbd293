package slack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"deployportal/internal/errs"
)

const (
	patience  = 500 * time.Millisecond // until a command is answered with a word that it is looked into; Slack waits 3 s
	settle    = 300 * time.Millisecond // between that word and the answer, which is to come after it
	askLimit  = 10 * time.Second       // one part of the work: to find an image, to compare commits, to answer
	noteLimit = 2 * time.Second        // to note that a request was taken; Slack waits for that
	workLimit = 45 * time.Second       // one piece of work, whatever it waits for
	mostWork  = 200                    // at a time; beyond that people are told to try again
	goodbye   = 5 * time.Second        // what is under way may take at the end
	sweeping  = time.Minute
)

// Door is where Slack comes in. Make it with New; it answers from then on, and Run keeps what follows deploys. It is
// safe for concurrent use.
type Door struct {
	Options
	talk    talker
	follow  *announcer
	slots   chan struct{} // one for each piece of work
	presses singleflight.Group

	ctx  context.Context // of all work
	stop context.CancelFunc
	mu   sync.Mutex
	shut bool // no new work
	work sync.WaitGroup
}

// New checks the options and makes a Door; it opens nothing. The error names everything that is missing at once, and
// holds no secret.
func New(o Options) (*Door, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Door{Options: o, talk: newClient(o), slots: make(chan struct{}, mostWork)}
	d.follow = newAnnouncer(o, d.talk)
	d.ctx, d.stop = context.WithCancel(context.Background())
	return d, nil
}

func (o Options) check() error {
	var wrong []error
	need := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, errors.New(what))
		}
	}
	need(o.Deploys != nil && o.Cluster != nil && o.Catalog != nil && o.People != nil && o.Policy != nil && o.DB != nil,
		"deploys, cluster, catalog, people, policy and database are needed")
	need(idOf("T", o.Team), "team must be the id of a workspace, such as T0123ABCD")
	need(idOf("A", o.App), "app must be the id of an app, such as A0123ABCD")
	need(strings.HasPrefix(o.BotToken, "xoxb-"), "the bot token must begin with xoxb-; it is empty or another secret")
	need(o.AppToken == "" || strings.HasPrefix(o.AppToken, "xapp-"), "the app token must begin with xapp-; it is another secret")
	need(o.SigningSecret+o.AppToken != "", "neither a signing secret nor an app token is given, so nothing can come in")
	need(strings.TrimSpace(o.SigningSecret) == o.SigningSecret, "the signing secret has white space around it")
	seen := map[string]bool{}
	for _, e := range o.Envs {
		need(e.Name != "" && !seen[e.Name], fmt.Sprintf("environment %q is named twice or not at all", e.Name))
		need(e.Channel == "" || idOf("C", e.Channel) || idOf("G", e.Channel), fmt.Sprintf("the channel of %s must be an id, such as C0123ABCD, not a name", e.Name))
		seen[e.Name] = true
	}
	if o.PublicURL != "" {
		u, err := url.Parse(o.PublicURL)
		need(err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http"), "the public URL is no URL")
	}
	if len(wrong) > 0 {
		return fmt.Errorf("slack: %w", errors.Join(wrong...))
	}
	return nil
}

// idOf tells whether id is one of Slack's ids of a kind: a letter, then letters and digits.
func idOf(kind, id string) bool {
	if len(id) < 2 || len(id) > 30 || id[:1] != kind {
		return false
	}
	for _, r := range id {
		if (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}

// Run follows deploys, keeps a connection to Slack where there is an app token, and takes away what is over, until ctx ends; then it lets what is under way finish, for 5 seconds
// at most. The error is what ended the following of deploys before ctx did.
func (d *Door) Run(ctx context.Context) error {
	var side sync.WaitGroup
	side.Go(func() { d.keepClean(ctx) })
	if d.AppToken != "" {
		side.Go(func() { _ = newSocket(d.Options, d.overSocket).run(ctx) }) // it ends with ctx alone
	}
	err := d.follow.run(ctx)
	if ctx.Err() == nil { // commands are answered all the same
		d.Log.Error("slack: deploys are not followed any more", "err", err)
		<-ctx.Done()
	}
	side.Wait()
	d.mu.Lock()
	d.shut = true
	d.mu.Unlock()
	done := make(chan struct{})
	go func() { d.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(goodbye):
		d.Log.Warn("slack: what was under way is given up")
	}
	d.stop()
	<-done // its context has ended
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (d *Door) keepClean(ctx context.Context) {
	tick := time.NewTicker(sweeping)
	defer tick.Stop()
	for {
		if err := sweep(ctx, d.DB); err != nil && ctx.Err() == nil {
			d.Log.Warn("slack: old plans stay for now", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// errBusy is that there is no room for more work, or that the portal is stopping.
var errBusy = errs.New(errs.Unavailable, "The portal is busy or stopping. Try again in a moment.")

// begin does f in the Door's own time, which does not end with the request that asked for it.
func (d *Door) begin(f func(context.Context)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		return errBusy
	}
	select {
	case d.slots <- struct{}{}:
	default:
		return errBusy
	}
	d.work.Go(func() {
		defer func() { <-d.slots }()
		ctx, cancel := context.WithTimeout(d.ctx, workLimit)
		defer cancel()
		f(ctx)
	})
	return nil
}

// guarded gives what f says, or that it went wrong: one command that panics must not end the portal.
func (d *Door) guarded(a ask, f func() Message) (m Message) {
	defer func() {
		if r := recover(); r != nil {
			d.Log.Error("slack: panic", "request", a.request, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			m = saySorry(errors.New("panic"), a.request)
		}
	}()
	return f()
}

// handle answers one ask in time for Slack. A command is answered at once where that is quick, else with a word that it
// is looked into, whose place the answer takes; a press is answered by its response URL alone, and m is empty. The error
// is errBusy.
func (d *Door) handle(ctx context.Context, a ask) (m Message, err error) {
	if why := d.stranger(a); why != nil {
		d.refuse(ctx, a, why)
		sorry := saySorry(why, a.request)
		if !a.press {
			return sorry, nil
		}
		return Message{}, d.begin(func(context.Context) { d.respond(a, false, sorry) })
	}
	if a.press {
		return Message{}, d.begin(func(ctx context.Context) { d.pressed(ctx, a) })
	}
	answer, waited := make(chan Message), make(chan struct{})
	err = d.begin(func(ctx context.Context) {
		m := d.guarded(a, func() Message { return d.command(ctx, a) })
		select {
		case answer <- m:
		case <-waited:
			pause(ctx, settle)
			d.respond(a, true, m)
		}
	})
	if err != nil {
		return Message{}, err
	}
	wait := time.NewTimer(patience)
	defer wait.Stop()
	select {
	case m = <-answer:
		return m, nil
	case <-wait.C:
	}
	close(waited)
	return sayLooking(a.text), nil
}

// stranger tells why an ask is not for us to answer: not from our workspace, or not to our app. Nil: it is.
func (d *Door) stranger(a ask) error {
	switch {
	case a.app != d.App:
		return errs.New(errs.Forbidden, "This was sent to another Slack app than the one this portal listens to.")
	case a.who.Team != d.Team || a.wide:
		return errs.New(errs.Forbidden, "This portal answers only people of the workspace that it was set up for.")
	case !a.names():
		return errs.New(errs.Forbidden, "Slack did not say who asks, or where.")
	}
	return nil
}

// refuse notes in the audit log what somebody was refused who is no actor.
func (d *Door) refuse(ctx context.Context, a ask, why error) {
	if !a.names() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, noteLimit)
	defer cancel()
	if err := d.People.RefuseSlack(ctx, a.who, a.what(), errs.Public(why), a.request); err != nil {
		d.Log.Error("slack: a refusal is not in the audit log", "request", a.request, "err", err)
	}
}

// respond answers later than the request was. It has a time of its own: what it tells may be that the time was over.
func (d *Door) respond(a ask, replace bool, m Message) {
	ctx, cancel := context.WithTimeout(d.ctx, askLimit)
	defer cancel()
	if err := d.talk.respond(ctx, a.url, replace, m); err != nil {
		d.Log.Warn("slack: an answer did not arrive", "request", a.request, "err", err)
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, how time.Duration) {
	t := time.NewTimer(how)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
