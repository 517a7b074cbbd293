package slacktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The limits of Block Kit (docs.slack.dev/reference/block-kit).
const (
	maxBlocks   = 50
	maxSection  = 3000
	maxFields   = 10
	maxField    = 2000
	maxHeader   = 150
	maxContext  = 10
	maxActions  = 25
	maxButton   = 75
	maxValue    = 2000
	maxID       = 255
	maxURL      = 3000
	maxTitle    = 100
	maxConfirm  = 300
	maxChoice   = 30
	maxFallback = 4000 // of chat.update; chat.postMessage takes more
	// maxTotal is of all texts of a message together. Slack documents no such limit and has one all the same, somewhere
	// between 11,000 and 13,300 characters (github.com/slackapi/bolt-js issues 2509 and 2867).
	maxTotal = 10000
)

// problems gathers what Slack would refuse, each with where it is.
type problems struct {
	found     []string
	total     int
	blockIDs  map[string]bool
	actionIDs map[string]bool
}

func (p *problems) add(where, format string, args ...any) {
	p.found = append(p.found, where+": "+fmt.Sprintf(format, args...))
}

// block is the union of the blocks and elements that are known here.
type block struct {
	Type      string   `json:"type"`
	BlockID   string   `json:"block_id"`
	ActionID  string   `json:"action_id"`
	Value     string   `json:"value"`
	URL       string   `json:"url"`
	Style     string   `json:"style"`
	Text      *text    `json:"text"`
	Fields    []*text  `json:"fields"`
	Accessory *block   `json:"accessory"`
	Elements  []*raw   `json:"elements"`
	Confirm   *confirm `json:"confirm"`
}

// raw is an element that is a text in one kind of block and a button in another.
type raw struct {
	block block
	text  text
}

func (r *raw) UnmarshalJSON(data []byte) error {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return err
	}
	if kind.Type == "mrkdwn" || kind.Type == "plain_text" {
		return json.Unmarshal(data, &r.text)
	}
	return json.Unmarshal(data, &r.block)
}

type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type confirm struct {
	Title   *text  `json:"title"`
	Text    *text  `json:"text"`
	Confirm *text  `json:"confirm"`
	Deny    *text  `json:"deny"`
	Style   string `json:"style"`
}

// Validate tells what Slack would refuse of blocks, each problem with where it is; none: it takes them. What it is given is
// the JSON of a list of blocks, or of a message with text and blocks: that must have a text for those who see no blocks.
//
// It is stricter than Slack in two things, for they are always a mistake: an opening angle bracket that begins neither a
// link, a date, a mention of one person nor one of a channel is foreign text that was not escaped; and an action_id stands
// once in a message.
func Validate(blocks []byte) []string {
	p := &problems{blockIDs: map[string]bool{}, actionIDs: map[string]bool{}}
	list := json.RawMessage(bytes.TrimSpace(blocks))
	if bytes.HasPrefix(list, []byte("{")) {
		var message struct {
			Text   string
			Blocks json.RawMessage
		}
		if err := json.Unmarshal(list, &message); err != nil {
			return []string{"message: " + err.Error()}
		}
		p.length("text", message.Text, maxFallback)
		p.mrkdwn("text", message.Text)
		if list = message.Blocks; len(list) == 0 {
			return p.found
		}
	}
	var all []*block
	if err := json.Unmarshal(list, &all); err != nil {
		return append(p.found, "blocks: "+err.Error())
	}
	if len(all) > maxBlocks {
		p.add("blocks", "%d of them, %d at most", len(all), maxBlocks)
	}
	for i, b := range all {
		p.block(fmt.Sprintf("block %d", i), b)
	}
	if p.total > maxTotal {
		p.add("blocks", "%d characters together, %d at most", p.total, maxTotal)
	}
	return p.found
}

func (p *problems) block(where string, b *block) {
	if b == nil {
		p.add(where, "null")
		return
	}
	where += " (" + b.Type + ")"
	if b.BlockID != "" {
		p.unique(where, "block_id", b.BlockID, p.blockIDs)
	}
	switch b.Type {
	case "divider":
	case "section":
		p.section(where, b)
	case "header":
		p.plain(where, b.Text, maxHeader)
	case "context":
		p.count(where, "elements", len(b.Elements), maxContext)
		for i, e := range b.Elements {
			p.text(fmt.Sprintf("%s element %d", where, i), &e.text, maxSection)
		}
	case "actions":
		p.count(where, "elements", len(b.Elements), maxActions)
		for i, e := range b.Elements {
			p.button(fmt.Sprintf("%s element %d", where, i), &e.block)
		}
	default:
		p.add(where, "a kind of block that is not known here")
	}
}

func (p *problems) section(where string, b *block) {
	if b.Text == nil && len(b.Fields) == 0 {
		p.add(where, "neither text nor fields")
	}
	if b.Text != nil {
		p.text(where, b.Text, maxSection)
	}
	if len(b.Fields) > maxFields {
		p.add(where, "%d fields, %d at most", len(b.Fields), maxFields)
	}
	for i, f := range b.Fields {
		p.text(fmt.Sprintf("%s field %d", where, i), f, maxField)
	}
	if b.Accessory != nil {
		p.button(where+" accessory", b.Accessory)
	}
}

func (p *problems) button(where string, b *block) {
	if b.Type != "button" {
		p.add(where, "%q is a kind of element that is not known here", b.Type)
		return
	}
	p.plain(where, b.Text, maxButton)
	p.unique(where, "action_id", b.ActionID, p.actionIDs)
	if n := utf8.RuneCountInString(b.Value); n > maxValue {
		p.add(where, "value has %d characters, %d at most", n, maxValue)
	}
	if n := utf8.RuneCountInString(b.URL); n > maxURL {
		p.add(where, "url has %d characters, %d at most", n, maxURL)
	}
	if b.URL != "" && !strings.HasPrefix(b.URL, "https://") && !strings.HasPrefix(b.URL, "http://") {
		p.add(where, "url %q is no web address", b.URL)
	}
	if b.Style != "" && b.Style != "primary" && b.Style != "danger" {
		p.add(where, "style %q", b.Style)
	}
	if c := b.Confirm; c != nil {
		p.plain(where+" confirm title", c.Title, maxTitle)
		p.text(where+" confirm text", c.Text, maxConfirm)
		p.plain(where+" confirm button", c.Confirm, maxChoice)
		p.plain(where+" deny button", c.Deny, maxChoice)
	}
}

func (p *problems) plain(where string, t *text, limit int) {
	p.text(where, t, limit)
	if t != nil && t.Type != "plain_text" {
		p.add(where, "text of type %q, plain_text is wanted", t.Type)
	}
}

func (p *problems) text(where string, t *text, limit int) {
	switch {
	case t == nil:
		p.add(where, "no text")
		return
	case t.Type != "plain_text" && t.Type != "mrkdwn":
		p.add(where, "text of type %q", t.Type)
	}
	p.length(where, t.Text, limit)
	p.total += utf8.RuneCountInString(t.Text)
	if t.Type == "mrkdwn" {
		p.mrkdwn(where, t.Text)
	}
}

func (p *problems) length(where, s string, limit int) {
	p.count(where, "characters", utf8.RuneCountInString(s), limit)
}

func (p *problems) count(where, what string, n, limit int) {
	if n < 1 || n > limit {
		p.add(where, "%d %s, 1 to %d are allowed", n, what, limit)
	}
}

func (p *problems) unique(where, what, id string, seen map[string]bool) {
	switch {
	case id == "":
		p.add(where, "no %s", what)
	case len(id) > maxID:
		p.add(where, "%s has %d characters, %d at most", what, len(id), maxID)
	case seen[id]:
		p.add(where, "%s %q stands twice", what, id)
	}
	seen[id] = true
}

// meant is what we put between angle brackets ourselves.
var meant = regexp.MustCompile(`<(https?://[^<>|\s]+(\|[^<>]*)?|!date\^\d+\^[^<>|]+\|[^<>|]+|@[UW][A-Z0-9]+|#C[A-Z0-9]+)>`)

func (p *problems) mrkdwn(where, s string) {
	if rest := meant.ReplaceAllString(s, ""); strings.ContainsAny(rest, "<>") {
		i := strings.IndexAny(rest, "<>")
		p.add(where, "not escaped: %q", rest[i:min(len(rest), i+30)])
	}
}
