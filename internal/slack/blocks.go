package slack

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	api "github.com/slack-go/slack"

	"deployportal/internal/deploys"
	"deployportal/internal/foreign"
)

const mostText = 2900 // of a section; Slack takes 3000 characters

func header(text string) api.Block {
	return api.NewHeaderBlock(api.NewTextBlockObject(api.PlainTextType, foreign.Line(text, 150), false, false))
}

func section(text string) api.Block {
	return api.NewSectionBlock(mrkdwn(text), nil, nil)
}

// note is a line in small print.
func note(text string) api.Block { return api.NewContextBlock("", mrkdwn(text)) }

func mrkdwn(text string) *api.TextBlockObject {
	return api.NewTextBlockObject(api.MarkdownType, text, false, true) // verbatim: Slack makes no links of its own
}

func plainText(text string, most int) *api.TextBlockObject {
	return api.NewTextBlockObject(api.PlainTextType, foreign.Line(text, most), false, false)
}

// lines puts lines into as many sections as they need, at most few of them; what does not fit is counted.
func lines(all []string, few int) (out []api.Block) {
	var b strings.Builder
	for i, line := range all {
		if b.Len() > 0 && b.Len()+len(line)+1 > mostText {
			out = append(out, section(b.String()))
			b.Reset()
			if len(out) == few {
				return append(out, note(fmt.Sprintf("And %d more.", len(all)-i)))
			}
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line)
	}
	if b.Len() > 0 {
		out = append(out, section(b.String()))
	}
	return out
}

// text is what others wrote, bounded and harmless.
func text(s string, most int) string { return escape(foreign.Line(s, most)) }

// code sets a name apart, such as a SHA.
func code(s string) string { return "`" + strings.ReplaceAll(text(s, 128), "`", "'") + "`" }

// when is a time as each reader's clock shows it, with UTC for who cannot be shown that.
func when(t time.Time) string {
	return fmt.Sprintf("<!date^%d^{date_short_pretty} {time}|%s>", t.Unix(), t.UTC().Format("2006-01-02 15:04 UTC"))
}

// plural reads "1 commit", "2 commits".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}

// links is the public URL of the portal; empty: there are none.
type links string

func (d *Door) links() links { return links(strings.TrimRight(d.PublicURL, "/")) }

func (l links) deploy(id int64) string { return l.to("/deploys/" + strconv.FormatInt(id, 10)) }

func (l links) app(t deploys.Target) string {
	return l.to("/apps/" + url.PathEscape(t.Env) + "/" + url.PathEscape(t.App))
}

// confirm is the page that confirms what a request asks for.
func (l links) confirm(r deploys.Request) string {
	q := url.Values{}
	switch {
	case r.Return == nil:
		q.Set("image", r.Image)
	case r.Return.Change != 0:
		q.Set("change", strconv.FormatInt(r.Return.Change, 10))
	default:
		q.Set("rollback_to", strconv.FormatInt(r.Return.Deploy, 10))
		if r.Return.Before {
			q.Set("before", "1")
		}
	}
	if l == "" {
		return ""
	}
	return l.app(r.Target) + "/confirm?" + q.Encode()
}

func (l links) to(path string) string {
	if l == "" {
		return ""
	}
	return string(l) + path
}

// linked makes words a link, where there is one that is no longer than a browser's line. The words are escaped.
func linked(url, words string) string {
	if url == "" || len(url) > 1000 {
		return words
	}
	return "<" + url + "|" + words + ">"
}

// openButton is the button of a link.
func openButton(url, words string) api.BlockElement {
	return api.NewButtonBlockElement(actionOpen, "", plainText(words, 75)).WithURL(url)
}

// sayWords is a message of one paragraph, in mrkdwn.
func sayWords(words string) Message { return Message{Text: words, Blocks: []api.Block{section(words)}} }
