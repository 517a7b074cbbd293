package deploys

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// live runs until the deploy is over or the run is stopped. What ends it otherwise, an error that nothing foresaw or a
// panic, must leave no row behind that nobody follows: it is taken up again.
func (r *run) live(body func(*run) error) {
	next := body
	for {
		err := r.safely(next)
		if err == nil || errors.Is(err, errStopped) || r.ctx.Err() != nil {
			return
		}
		r.s.log.Error("a deploy's runner ended", "deploy", r.d.ID, "target", r.d.Target.String(), "err", err)
		r.say("The portal met an error of its own and does not follow this deploy. It is taken up again every " + short(r.s.retry) +
			"; until then this page may be behind the cluster.")
		if !r.sleep(r.s.retry) {
			return
		}
		next = func(r *run) error { return r.again(body) }
	}
}

// safely turns a panic into an error.
func (r *run) safely(body func(*run) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return body(r)
}

// again goes on from what the row says. body is for what has not been sent, and for what a start has to find first.
func (r *run) again(body func(*run) error) error {
	d, found, err := get(r.ctx, r.s.db, `id = ?`, r.d.ID)
	if err != nil || !found || !d.Active() {
		return err
	}
	r.d, r.smoke = d, nil
	switch {
	case d.Status == Pending, r.app.Limit == 0:
		return body(r)
	case d.Generation != 0:
		return r.watch()
	}
	return r.pickUp()
}
