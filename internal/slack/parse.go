package slack

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"deployportal/internal/errs"
	"deployportal/internal/foreign"
)

// The verbs. The first word of a command is one of them or an app; `deploy` is what is meant where none is said, and how an
// app is reached that is called like a verb.
const (
	verbHome     = "" // what can be deployed, and how
	verbDeploy   = "deploy"
	verbList     = "list"
	verbStatus   = "status"
	verbRollback = "rollback"
	verbLock     = "lock"
	verbUnlock   = "unlock"
	verbLog      = "log"
	verbLink     = "link"
	verbUnlink   = "unlink"
	verbHelp     = "help"
)

var usages = map[string]string{
	verbDeploy: "api abc123 to prod", verbList: "list api", verbStatus: "status api", verbRollback: "rollback api in prod",
	verbLock: "lock api in prod for 2h we look into an incident", verbUnlock: "unlock api in prod", verbLog: "log api in prod",
	verbLink: "link CODE", verbUnlink: "unlink", verbHelp: "help",
}

// mostTyped is how much of a command is read; Slack sends up to 4000 characters.
const mostTyped = 1000

// command is what somebody typed, taken apart. What the words name is not looked up yet.
type command struct {
	verb   string
	app    string
	image  string // a tag, a digest, or the start of a SHA
	env    string
	reason string
	lasts  time.Duration // of a lock; 0: until somebody unlocks it
	code   string        // of link
}

// parse reads what was typed behind /deploy. errs.Invalid with a sentence that shows how it is written.
func parse(text string) (command, error) {
	words := strings.Fields(plain(text))
	if len(words) == 0 {
		return command{}, nil
	}
	c := command{verb: strings.ToLower(words[0])}
	if _, known := usages[c.verb]; known {
		words = words[1:]
	} else {
		c.verb = verbDeploy
	}
	switch c.verb {
	case verbHelp:
		return c, nil
	case verbLink:
		if c.code = bare(strings.Join(words, "")); c.code == "" { // a code is the same with spaces in it
			return c, misread(c.verb, "To link your account takes the code that the portal shows you.")
		}
		return c, nil
	case verbUnlink:
		if len(words) > 0 {
			return c, misread(c.verb, "To end the link of your account takes no more words.")
		}
		return c, nil
	}
	if len(words) == 0 {
		if c.verb == verbStatus {
			return c, nil
		}
		return c, misread(c.verb, "Say which app.")
	}
	c.app, words = words[0], words[1:]
	if c.verb == verbLock {
		return c, c.readLock(words)
	}
	if err := c.readRest(words); err != nil {
		return c, err
	}
	if c.verb == verbDeploy && c.image == "" {
		if c.reason != "" {
			return c, misread(c.verb, "Say which image of %s.", c.app)
		}
		c.verb = verbList
	}
	return c, nil
}

// readRest reads what follows an app: an image, an environment, a reason.
func (c *command) readRest(words []string) error {
	acts := c.verb == verbDeploy || c.verb == verbRollback
	for len(words) > 0 {
		word := strings.ToLower(words[0])
		switch {
		case word == "to" || word == "in":
			if len(words) == 1 {
				return misread(c.verb, "Behind “%s” stands an environment.", word)
			}
			if err := c.place(words[1]); err != nil {
				return err
			}
			words = words[2:]
		case word == "because" && acts:
			if c.reason = strings.Join(words[1:], " "); c.reason == "" {
				return misread(c.verb, "Behind “because” stands a reason.")
			}
			return nil
		case c.image == "" && acts:
			c.image, words = imageWord(words[0]), words[1:]
		default:
			return misread(c.verb, "What “%s” means there is not clear.", words[0])
		}
	}
	return nil
}

// place takes the word behind "to" or "in". A rollback goes to an image in an environment: `rollback api to abc123 in prod`.
func (c *command) place(word string) error {
	switch {
	case c.env == "":
		c.env = bare(word)
	case c.verb == verbRollback && c.image == "" && shaLike(imageWord(c.env)):
		c.image, c.env = imageWord(c.env), bare(word)
	default:
		return misread(c.verb, "It names two environments, %s and %s.", c.env, word)
	}
	return nil
}

// readLock reads what follows an app to be locked: an environment, how long, and why.
func (c *command) readLock(words []string) error {
	if len(words) > 1 && strings.EqualFold(words[0], "in") {
		c.env, words = bare(words[1]), words[2:]
	}
	if len(words) > 1 && strings.EqualFold(words[0], "for") {
		if d, ok := lasts(words[1]); ok {
			c.lasts, words = d, words[2:]
		}
	}
	if c.reason = strings.Join(words, " "); c.reason == "" {
		return misread(c.verb, "Say why it is locked: it is what others are told when they are refused.")
	}
	return nil
}

var lastsPattern = regexp.MustCompile(`^(\d{1,4})(m|h|d)$`)

// lasts reads "30m", "2h" or "3d".
func lasts(word string) (time.Duration, bool) {
	m := lastsPattern.FindStringSubmatch(strings.ToLower(word))
	if m == nil {
		return 0, false
	}
	n, _ := strconv.Atoi(m[1]) // four digits at most
	unit := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]]
	return time.Duration(n) * unit, n > 0
}

// misread says what is wrong and how it is written.
func misread(verb, format string, args ...any) error {
	e := errs.New(errs.Invalid, format, args...)
	e.Public += " For example: /deploy " + usages[verb]
	return e
}

// bare takes off what people put around a word to make it stand out.
func bare(word string) string { return strings.Trim(word, "`'\"“”‘’") }

// imageWord is a word that names an image: a SHA is the same in capitals, as some keyboards begin with one.
func imageWord(word string) string {
	word = bare(word)
	if lower := strings.ToLower(word); shaLike(lower) {
		return lower
	}
	return word
}

// shaLike tells whether a word can be a SHA or the start of one.
func shaLike(word string) bool {
	return len(word) >= 4 && len(word) <= 64 && strings.Trim(word, "0123456789abcdef") == ""
}

var (
	marked      = regexp.MustCompile(`<([^<>|]*)(?:\|([^<>]*))?>`)
	unescaping  = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")
	linkSchemes = []string{"https://", "http://", "mailto:"}
)

// plain undoes what Slack does to typed text: links it has made by itself, mentions, and its three escapes.
func plain(text string) string {
	text = marked.ReplaceAllStringFunc(text, func(s string) string {
		m := marked.FindStringSubmatch(s)
		target, label := m[1], m[2]
		if sigil := strings.IndexAny(target, "@#!"); sigil == 0 {
			if label == "" {
				label = target[1:]
			}
			return target[:1] + strings.TrimLeft(label, "@#")
		}
		if label != "" {
			return label
		}
		if i := slices.IndexFunc(linkSchemes, func(p string) bool { return strings.HasPrefix(target, p) }); i >= 0 {
			return strings.TrimPrefix(target, linkSchemes[i])
		}
		return target
	})
	return foreign.Line(unescaping.Replace(text), mostTyped)
}
