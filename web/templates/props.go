package templates

import (
	"net/url"
	"strings"
	"time"
)

// Page is what every page has in common.
type Page struct {
	Title  string    // for the tab, without the product's name
	Nav    string    // which entry of the navigation is the present one: NavBoard, NavAudit, NavPeople or empty
	User   string    // who is signed in; empty: nobody, and no navigation is shown
	Admin  bool      // shows People
	Now    time.Time // relative times are counted from it; never zero
	Env    string    // the environment the page is about; empty: all of them
	Prod   bool      // Env is one where a mistake hurts: the page wears a mark
	Query  string    // what was looked for; stays in the find field
	Notice string    // one sentence about what was just done; empty mostly
	Stream *Stream   // nil: the page does not update itself
}

// The entries of the navigation.
const (
	NavBoard  = "board"
	NavAudit  = "audit"
	NavPeople = "people"
)

// Stream is the live connection of a page.
type Stream struct {
	URL        string        // a path of ours; see BoardEventsURL and DeployEventsURL
	Age        time.Duration // of the cluster's data at first paint
	Stale      string        // "Cluster not seen since 02:10 UTC"; empty while it is seen
	Background bool          // keep it open in a hidden tab, so that the tab's title stays true
}

// Tone is what a status means. There are four, each with its own shape and colour.
type Tone string

// The tones.
const (
	OK      Tone = "ok"
	Busy    Tone = "busy"
	Bad     Tone = "bad"
	Unknown Tone = "unknown"
)

// Mark is a status: the tone gives shape and colour, the word says it. Word is never empty.
type Mark struct {
	Tone Tone
	Word string
}

// Link is a link in a sentence.
type Link struct {
	Text string
	Href string
}

// Act is something that can be done: a link to the page where it is confirmed, or, with Send, done by the click itself.
type Act struct {
	Text   string
	Href   string
	Main   bool     // the one thing most people want here
	Danger bool     // goes back, or takes something away
	Send   []Hidden // not empty: what is posted to Href; on a live page only
	At     string   // where it stands, on a page that offers the same in two places
}

// id is another for whatever does something else.
func (a Act) id() string {
	sent := url.Values{}
	for _, h := range a.Send {
		sent.Add(h.Name, h.Value)
	}
	return strings.TrimSuffix("act:"+a.At+a.Href+"?"+sent.Encode(), "?")
}

// Hidden is a field of a form that nobody fills in.
type Hidden struct {
	Name, Value string
}

// Image is an image as people know it.
type Image struct {
	Short   string // 7 characters of the SHA, "unknown" where nothing tells
	Tag     string // in full, to copy; may be empty
	Digest  string // in full, to copy; may be empty
	Subject string // of the commit; empty when not known
	Author  string
	At      time.Time // of the commit; zero when not known
	URL     string    // the commit's page; empty when not known
}

// Known tells whether there is anything to show of the image.
func (i Image) Known() bool { return i.Tag != "" || i.Digest != "" }

// Clock is a running or stopped time against an optional limit. The page lets a running one tick.
type Clock struct {
	From  time.Time
	To    time.Time     // zero: still running
	Limit time.Duration // zero: none
}

// Trouble says what is not as it should be on the way to the facts: a cluster or registry that cannot be reached, a
// permission that is missing. The page still shows what was known.
type Trouble struct {
	Sentence string    // "Gitea cannot be reached since 14:02 UTC."
	Detail   string    // what it means for the reader
	Known    time.Time // what is shown was true then; zero: nothing is shown
	Paste    string    // lines that cure it, to copy; may be empty
}

// Teach fills a place where nothing is configured yet: what belongs there and the lines to paste.
type Teach struct {
	Title string
	Text  string
	File  string // where the lines go: "portal.yaml"
	Paste string
}

// SignInProps is the page of somebody who is not signed in.
type SignInProps struct {
	Page
	Account  string // what was typed, kept after a refusal
	Message  string // why it was refused, or that the session ended
	FirstRun string // the command that adds the first account; not empty: there is no account yet
	Next     string // path to go on to; the handler checks that it is one of ours
}

// ErrorProps is the page for what could not be done.
type ErrorProps struct {
	Page
	Status    int
	Sentence  string // what happened
	Todo      string // what can be done about it
	RequestID string // names the line in the log
	Acts      []Act
}

// FindProps lists what a search found.
type FindProps struct {
	Page
	Targets []FoundTarget
	Images  []FoundImage
}

// FoundTarget is an app in an environment whose name fits.
type FoundTarget struct {
	App, Env string
	Prod     bool
	Health   Mark
	Running  Image
	Bad      *BadImage // Running is marked as bad; nil: it is not
	Href     string
}

// FoundImage is an image whose tag, digest or subject fits.
type FoundImage struct {
	App    string
	Image  Image
	Bad    *BadImage // it is marked as bad; nil: it is not
	Pushed time.Time
	Where  []Link // "runs in prod", "deploy 12 in staging"
}
