package kube

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// How long what was asked of a cluster past the informers is believed, and waited for.
const (
	factKeep  = time.Minute            // what is well
	factRetry = 5 * time.Second        // what is not: somebody may be about to mend it
	factWait  = 700 * time.Millisecond // for all of a workload's surroundings together
)

const unanswered = "The cluster did not answer within 0.7 s."

// recall remembers answers for a while. Who asks for what is being asked already waits for that answer.
type recall struct {
	now    func() time.Time
	log    *slog.Logger
	asking singleflight.Group

	mu   sync.Mutex
	kept map[string]keptAnswer
}

type keptAnswer struct {
	at    time.Time
	value any // told[T]
}

// told is an answer of a cluster.
type told[T any] struct {
	value T
	at    time.Time
	why   string // why value is not all of it, a sentence
}

// consult gives what is remembered of a question, such as "list nodes", or reads it. well tells whether a value is such that
// nobody is about to change it and to ask again; nil: every one is. A refusal is no such value. That no answer came is not
// remembered.
func consult[T any](ctx context.Context, r *recall, question string, well func(T) bool, read func(context.Context) (T, error)) told[T] {
	if a, ok := remembered[T](r, question); ok {
		age := r.now().Sub(a.at)
		if age < factRetry || age < factKeep && a.why == "" && (well == nil || well(a.value)) {
			return a
		}
	}
	answer := r.asking.DoChan(question, func() (any, error) {
		// Others may wait for it, so it does not end with who began it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), factWait)
		defer cancel()
		a := told[T]{at: r.now()} // a fact is as old as the question
		value, err := read(ctx)
		a.value, a.why = value, whyUnread(question, err)
		if err != nil && !apierrors.IsForbidden(err) {
			r.log.Warn("the cluster did not tell what is around a workload", "asked", question, "err", err)
			return a, nil
		}
		r.remember(question, keptAnswer{a.at, a})
		return a, nil
	})
	select {
	case a := <-answer:
		return a.Val.(told[T]) // a question is asked for one type
	case <-ctx.Done():
		return told[T]{why: unanswered, at: r.now()}
	}
}

func remembered[T any](r *recall, question string) (told[T], bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.kept[question].value.(told[T])
	return a, ok
}

func (r *recall) remember(question string, a keptAnswer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for q, old := range r.kept {
		if r.now().Sub(old.at) >= factKeep {
			delete(r.kept, q)
		}
	}
	r.kept[question] = a
}

// whyUnread says in a sentence what came back instead of an answer; empty when nothing is wrong.
func whyUnread(question string, err error) string {
	switch {
	case err == nil:
		return ""
	case apierrors.IsForbidden(err):
		return "The portal may not " + question + "."
	case apierrors.IsUnauthorized(err):
		return "The cluster refuses the portal's credentials."
	case errors.Is(err, context.DeadlineExceeded):
		return unanswered
	}
	return "The cluster gave no usable answer."
}
