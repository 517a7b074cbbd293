package slack

import (
	"context"
	"errors"
)

// errGone is what update wraps when the message was deleted.
var errGone = errors.New("the message is gone")

// errClosed is what post and update wrap when the channel takes nothing from us: archived, unknown, or we are not in it.
var errClosed = errors.New("the channel takes no message")

// talker is all that is said to Slack. It honours Retry-After within ctx, and no error of it holds a token or a response URL.
type talker interface {
	// post says something in a channel, in the thread of a message where thread is set, and gives the message's ts.
	post(ctx context.Context, channel, thread string, m Message) (ts string, err error)
	// update puts m in the place of a message.
	update(ctx context.Context, channel, ts string, m Message) error
	// respond answers a command or a button by its response URL, ephemerally: five times within 30 minutes at most. replace
	// puts m in the place of the message that was answered; an m without blocks and text deletes it.
	respond(ctx context.Context, responseURL string, replace bool, m Message) error
}
