package slack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	api "github.com/slack-go/slack"

	"deployportal/internal/foreign"
)

// errGone is what update wraps when the message was deleted or cannot be edited any more, and respond when the URL is used up.
var errGone = errors.New("the message is gone")

// errClosed is what post and update wrap when the channel takes nothing from us: archived, unknown, or we are not in it.
var errClosed = errors.New("the channel takes no message")

// limited is what talker wraps when Slack asks for a longer wait than ctx leaves.
type limited struct{ after time.Duration }

func (l *limited) Error() string {
	return fmt.Sprintf("Slack asks to wait %s", l.after.Round(time.Second))
}

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

const (
	callTimeout = 10 * time.Second // of one HTTP request to Slack
	maxAnswer   = 1 << 20          // bytes that are read of its answer
	hooksHost   = "hooks.slack.com"
)

// client is the talker over Slack's Web API.
type client struct {
	api  *api.Client
	http *http.Client
	own  *url.URL // of the configured API; nil: Slack's
	log  *slog.Logger

	mu   sync.Mutex
	free map[string]time.Time // by method, and channel for a post: Slack asked not to be called before
}

func newClient(o Options) *client {
	c := &client{http: &http.Client{Timeout: callTimeout}, log: o.Log, free: map[string]time.Time{}}
	if o.Client != nil {
		own := *o.Client
		c.http = &own
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	c.http.Transport = bounded{c.http.Transport}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	options := []api.Option{api.OptionHTTPClient(c.http), api.OptionAppLevelToken(o.AppToken)}
	if o.APIURL != "" {
		options = append(options, api.OptionAPIURL(o.APIURL))
		c.own, _ = url.Parse(o.APIURL) // one that cannot be parsed cannot be called either
	}
	c.api = api.New(o.BotToken, options...)
	return c
}

// bounded reads so much of an answer and no more: slack-go reads all there is.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	next := b.next
	if next == nil {
		next = http.DefaultTransport
	}
	res, err := next.RoundTrip(r)
	if err == nil && res.Body != nil && res.StatusCode != http.StatusSwitchingProtocols {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxAnswer), res.Body}
	}
	return res, err
}

func (c *client) post(ctx context.Context, channel, thread string, m Message) (ts string, err error) {
	err = c.say(ctx, "chat.postMessage", channel, m, func(options ...api.MsgOption) (err error) {
		if thread != "" {
			options = append(options, api.MsgOptionTS(thread))
		}
		_, ts, err = c.api.PostMessageContext(ctx, channel, options...)
		return err
	})
	return ts, err
}

func (c *client) update(ctx context.Context, channel, ts string, m Message) error {
	return c.say(ctx, "chat.update", "", m, func(options ...api.MsgOption) error {
		_, _, _, err := c.api.UpdateMessageContext(ctx, channel, ts, options...)
		return err
	})
}

// say sends a message; one whose blocks Slack refuses it sends as text, for that is better than silence.
func (c *client) say(ctx context.Context, method, channel string, m Message, send func(...api.MsgOption) error) error {
	try := func(blocks []api.Block) error {
		return c.paced(ctx, method+" "+channel, method, func() error {
			return send(api.MsgOptionText(m.Text, false), api.MsgOptionBlocks(blocks...), api.MsgOptionDisableLinkUnfurl(), api.MsgOptionDisableMediaUnfurl())
		})
	}
	err := try(m.Blocks)
	if len(m.Blocks) > 0 && errors.Is(err, errContent) {
		c.log.Error("Slack refused the blocks of a message; it is sent as text", "err", err)
		err = try(nil)
	}
	return err
}

func (c *client) respond(ctx context.Context, responseURL string, replace bool, m Message) error {
	if !c.answers(responseURL) {
		return errors.New("the response URL is not one of Slack's")
	}
	w := &api.WebhookMessage{Text: m.Text, ResponseType: "ephemeral", ReplaceOriginal: replace}
	if len(m.Blocks) > 0 {
		w.Blocks = &api.Blocks{BlockSet: m.Blocks}
	}
	if m.Text == "" && w.Blocks == nil {
		w.DeleteOriginal = true
	}
	return c.paced(ctx, "response_url", "the response URL", func() error {
		return api.PostWebhookCustomHTTPContext(ctx, responseURL, c.http, w)
	})
}

// answers tells whether a response URL leads to Slack: it came from outside, and nothing else is to be called for it.
func (c *client) answers(responseURL string) bool {
	u, err := url.Parse(responseURL)
	if err != nil || u.User != nil {
		return false
	}
	if c.own != nil && u.Scheme == c.own.Scheme && u.Host == c.own.Host {
		return true
	}
	return u.Scheme == "https" && u.Host == hooksHost
}

// paced calls Slack when it may be called, again where it asks to wait, and makes its error one that can be shown.
func (c *client) paced(ctx context.Context, key, what string, f func() error) error {
	for {
		if err := c.wait(ctx, key); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		err := f()
		var limit *api.RateLimitedError
		if !errors.As(err, &limit) {
			return public(what, err)
		}
		c.mu.Lock()
		c.free[key] = time.Now().Add(max(limit.RetryAfter, time.Second))
		c.mu.Unlock()
	}
}

// wait lets the time pass that Slack asked for, where ctx leaves it.
func (c *client) wait(ctx context.Context, key string) error {
	c.mu.Lock()
	left := time.Until(c.free[key])
	if left <= 0 {
		delete(c.free, key)
	}
	c.mu.Unlock()
	if left <= 0 {
		return ctx.Err()
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) < left {
		return &limited{left}
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errContent is what Slack refuses of a message itself.
var errContent = errors.New("the message is refused")

// meanings of what Slack answers (docs.slack.dev/reference/methods/chat.postMessage, chat.update).
var meanings = map[string]error{
	"message_not_found": errGone, "cant_update_message": errGone, "edit_window_closed": errGone,
	"channel_not_found": errClosed, "not_in_channel": errClosed, "is_archived": errClosed, "is_inactive": errClosed,
	"messages_tab_disabled": errClosed, "channel_type_not_supported": errClosed, "no_permission": errClosed,
	"invalid_blocks": errContent, "invalid_blocks_format": errContent, "msg_too_long": errContent, "msg_blocks_too_long": errContent, "no_text": errContent,
}

// public makes an error that may be logged: neither the address that was called nor what was sent is in it.
func public(what string, err error) error {
	var refused api.SlackErrorResponse
	var status api.StatusCodeError
	var call *url.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		word := foreign.Line(strings.Join(append([]string{refused.Err}, refused.ResponseMetadata.Messages...), "; "), 300)
		meaning := meanings[refused.Err]
		switch {
		case strings.HasPrefix(refused.Err, "restricted_action"):
			meaning = errClosed
		case refused.Err == "missing_scope":
			word += ": " + foreign.Line(refused.Needed, 100)
		}
		if meaning == nil {
			return fmt.Errorf("%s: Slack answers %s", what, word)
		}
		return fmt.Errorf("%s: Slack answers %s: %w", what, word, meaning)
	case errors.As(err, &status) && status.Code == http.StatusNotFound:
		return fmt.Errorf("%s: Slack answers 404: %w", what, errGone)
	case errors.As(err, &status):
		return fmt.Errorf("%s: Slack answers %d", what, status.Code)
	case errors.As(err, &call):
		return fmt.Errorf("%s: %w", what, call.Err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
