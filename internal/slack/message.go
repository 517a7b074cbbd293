package slack

import (
	"strings"

	api "github.com/slack-go/slack"
)

// Message is what is said: blocks, and the same in short for notifications and readers of screens.
type Message struct {
	Text   string
	Blocks []api.Block
}

// What buttons are called. The value of deploy and cancel is the id of a stored plan, that of rollback a deploy's number.
const (
	actionDeploy   = "deploy"
	actionCancel   = "cancel"
	actionRollback = "rollback"
	actionOpen     = "open" // a link; Slack tells of the click all the same
)

var escaping = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// escape makes text of others harmless in mrkdwn: no mention, no broadcast, no link
// (docs.slack.dev/messaging/formatting-message-text#escaping).
func escape(s string) string { return escaping.Replace(s) }
