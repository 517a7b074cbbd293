package slack

import "context"

type announcer struct{}

func newAnnouncer(Options, talker) *announcer { return &announcer{} }

func (*announcer) run(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func newClient(Options) talker { return nil }
